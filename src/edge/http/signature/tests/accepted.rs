//! Tokens that must pass: a live delivery that too strict a check refuses is retried for half an
//! hour.

use super::*;

#[test]
fn a_token_shaped_like_a_live_delivery_is_accepted() {
    assert_eq!(Mint::live().check().unwrap().signed_with(), KeyName::Current);
}

#[test]
fn a_token_shaped_like_those_of_the_sdk_test_signers_is_accepted() {
    let unpadded = padded_hash(BODY).trim_end_matches('=').to_owned();
    let token = Mint::live().without("aud").with("nbf", NOW - 10).with("body", unpadded);
    assert!(token.check().is_ok());
}

#[test]
fn a_token_minted_by_another_implementation_is_accepted() {
    // Python's hmac, hashlib, json and base64; neither the MAC nor the hash is ours.
    let token = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        "eyJhdWQiOiIiLCJib2R5IjoiQVZxOWYxekZlaTNaUzNXUThFcllDRUp6a0Y3alBzWE92cTVpSjJxWC1HST0iLCJle",
        "HAiOjE3ODQwMDAzMDAsImlhdCI6MTc4NDAwMDAwMCwiaXNzIjoiVXBzdGFzaCIsImp0aSI6Imp3dF9pbnZlbnRlZC",
        "IsIm5iZiI6LTYyMTM1NTk2ODAwLCJzdWIiOiJodHRwczovL3N5bmMuZXhhbXBsZS5jb20vYXBpP3g9MSJ9.",
        "h0x1PSoGVDvqwppWiINxTJezLKIK42SkXARdm2xmYlA",
    );
    let url = "https://sync.example.com/api?x=1";
    assert!(verify(&keys(), token, url, br#"{"a":1}"#, now()).is_ok());
}

#[test]
fn a_token_signed_with_the_next_key_is_accepted_and_says_so() {
    let verified = Mint::live().signed_with(NEXT).check().unwrap();
    assert_eq!(verified.signed_with(), KeyName::Next);
}

#[test]
fn an_empty_body_is_accepted_under_its_known_hash() {
    let known = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=";
    let token = Mint::live().with("body", known).token();
    assert!(verify(&keys(), &token, URL, b"", now()).is_ok());
}

#[test]
fn a_body_that_is_no_text_is_hashed_as_it_is() {
    let body = [0, 159, 146, 150, 255];
    let token = Mint::live().with("body", padded_hash(&body)).token();
    assert!(verify(&keys(), &token, URL, &body, now()).is_ok());
}

#[test]
fn an_empty_path_and_a_slash_are_the_same_url() {
    let pairs = [
        ("https://id.example.com", "https://id.example.com/"),
        ("https://id.example.com:8443", "https://id.example.com:8443/"),
        ("https://id.example.com?a=1", "https://id.example.com/?a=1"),
    ];
    for (bare, slash) in pairs {
        for (signed_for, configured) in [(bare, slash), (slash, bare), (bare, bare)] {
            let token = Mint::live().with("sub", signed_for).token();
            let verified = verify(&keys(), &token, configured, BODY, now());
            assert!(verified.is_ok(), "{signed_for} for {configured}: {verified:?}");
        }
    }
}

#[test]
fn the_query_belongs_to_the_url() {
    let url = format!("{URL}?pipeline=a&slice=2");
    let token = Mint::live().with("sub", url.as_str()).token();
    assert!(verify(&keys(), &token, &url, BODY, now()).is_ok());
}

#[test]
fn claims_that_decide_nothing_may_be_missing_or_anything() {
    for name in ["aud", "iat", "jti"] {
        assert!(Mint::live().without(name).check().is_ok(), "without {name}");
        for value in [json!(null), json!("x"), json!(["x"]), json!(NOW + 9999), json!({"a": 1})] {
            let token = Mint::live().with(name, value.clone());
            assert!(token.check().is_ok(), "{name} = {value}");
        }
    }
    assert!(Mint::live().with("later_invention", json!([1])).check().is_ok());
}

#[test]
fn a_start_that_is_absent_negative_or_past_is_ignored() {
    assert!(Mint::live().without("nbf").check().is_ok());
    for start in [-62_135_596_800, -1, 0, NOW - 10, NOW] {
        assert!(Mint::live().with("nbf", start).check().is_ok(), "nbf = {start}");
    }
}

#[test]
fn the_lifetime_is_accepted_up_to_its_ends() {
    for left in [-1, 0, 1, 300, 600] {
        assert!(Mint::live().with("exp", NOW + left).check().is_ok(), "{left} s left");
    }
    assert!(Mint::live().with("exp", NOW as f64 + 0.5).check().is_ok());
}

#[test]
fn a_token_of_exactly_the_longest_size_is_accepted() {
    let fill = |bytes| Mint::live().with("jti", "x".repeat(bytes)).token();
    let longest = (5000..7000).map(fill).find(|token| token.len() == MAX_TOKEN_BYTES);
    assert!(check(&longest.expect("three more bytes are four more characters")).is_ok());
}
