//! Texts of any kind in the place of a token: none makes the reader panic, and none passes.

use proptest::prelude::*;

use super::*;

/// Values that claims are made of, and values that they are not.
fn claim() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!([])),
        Just(json!({ "sub": URL })),
        Just(json!(URL)),
        Just(json!("Upstash")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_a_token(text in "\\PC*|[A-Za-z0-9_=.-]{0,80}|[a-z0-9]{0,9}\\.[a-z0-9]{0,9}\\.[a-z0-9]{0,9}") {
        prop_assert!(check(&text).is_err());
    }

    #[test]
    fn no_text_under_a_good_mac_is_a_token(header in "\\PC{0,20}", payload in "\\PC{0,40}|[{}\":,a-z0-9]{0,40}") {
        let message = format!("{}.{}", encode(header), encode(payload));
        prop_assert!(check(&signed(&message, CURRENT)).is_err());
    }

    #[test]
    fn a_claim_of_another_kind_makes_nobody_panic(
        name in prop::sample::select(vec!["iss", "sub", "exp", "nbf", "body"]),
        other in claim(),
    ) {
        let good = Mint::live();
        let same = good.claims.iter().any(|(claim, value)| *claim == name && *value == other);
        let passed = good.with(name, other.clone()).check().is_ok();
        // Another time can be as good; another name, address or hash cannot.
        prop_assert!(!passed || same || ["exp", "nbf"].contains(&name), "{name}: {other}");
    }

    #[test]
    fn a_token_of_which_a_sign_was_changed_is_refused(
        place in any::<prop::sample::Index>(),
        sign in prop::sample::select(b"ABab01-_.= ".to_vec()),
    ) {
        let mut token = Mint::live().token().into_bytes();
        let place = place.index(token.len());
        prop_assume!(token[place] != sign);
        token[place] = sign;
        prop_assert!(check(std::str::from_utf8(&token).unwrap()).is_err());
    }
}
