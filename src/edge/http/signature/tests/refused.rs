//! Keys, algorithms and claims that must not pass, each with the reason the log gives.

use super::*;

fn refused(token: &Mint, expected: Refusal) {
    assert_eq!(token.check(), Err(expected), "{}.{}", token.header, token.payload());
}

#[test]
fn only_hs256_is_an_algorithm() {
    let names = [r#""none""#, r#""None""#, r#""NONE""#, r#""nOnE""#, r#""HS384""#, r#""HS512""#];
    let others = [r#""RS256""#, r#""ES256""#, r#""EdDSA""#, r#""hs256""#, r#""HS256 ""#, r#""""#];
    let no_names = ["null", "256", r#"["HS256"]"#];
    for alg in names.into_iter().chain(others).chain(no_names) {
        let header = format!(r#"{{"alg":{alg},"typ":"JWT"}}"#);
        refused(&Mint::live().header(&header), Refusal::Algorithm);
    }
    refused(&Mint::live().header(r#"{"typ":"JWT"}"#), Refusal::Algorithm);
}

#[test]
fn a_token_without_mac_is_refused_whatever_its_header_says() {
    let none = Mint::live().header(r#"{"alg":"none"}"#);
    assert_eq!(check(&format!("{}.", none.message())), Err(Refusal::Algorithm));
    assert_eq!(check(&format!("{}.", Mint::live().message())), Err(Refusal::Mac));
}

#[test]
fn a_good_mac_of_a_longer_hash_is_refused() {
    let hs384 = Mint::live().header(r#"{"alg":"HS384","typ":"JWT"}"#).message();
    let mac = Hmac::<Sha384>::new_from_slice(CURRENT.as_bytes()).unwrap();
    let mac = encode(mac.chain_update(&hs384).finalize().into_bytes());
    assert_eq!(check(&format!("{hs384}.{mac}")), Err(Refusal::Algorithm));

    let hs512 = Mint::live().header(r#"{"alg":"HS512","typ":"JWT"}"#).message();
    let mac = Hmac::<Sha512>::new_from_slice(CURRENT.as_bytes()).unwrap();
    let mac = encode(mac.chain_update(&hs512).finalize().into_bytes());
    assert_eq!(check(&format!("{hs512}.{mac}")), Err(Refusal::Algorithm));
}

#[test]
fn a_critical_extension_is_refused() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", r#""b64""#] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        refused(&Mint::live().header(&header), Refusal::Critical);
    }
}

#[test]
fn a_key_that_is_not_ours_is_refused() {
    for key in ["sig_somebodyelseskey0000000000000", "", &CURRENT[1..], "sig_"] {
        let token = signed(&Mint::live().message(), key);
        assert_eq!(check(&token), Err(Refusal::Mac), "signed with {key:?}");
    }
}

#[test]
fn the_key_is_judged_before_the_claims() {
    let expired = Mint::live().with("exp", NOW - 100);
    refused(&expired.clone().signed_with("sig_somebodyelses"), Refusal::Mac);
    refused(&expired.clone().signed_with(CURRENT), Refusal::Expired { seconds: 100 });
    refused(&expired.signed_with(NEXT), Refusal::Expired { seconds: 100 });
}

#[test]
fn an_empty_or_blank_key_is_never_taken() {
    use {BadKey::*, KeyName::*};
    let cases = [
        (("", NEXT), Empty(Current)),
        ((CURRENT, ""), Empty(Next)),
        ((" \n", NEXT), Empty(Current)),
        (("sig_pasted\n", NEXT), Blank(Current)),
        ((CURRENT, "sig with blanks"), Blank(Next)),
    ];
    for ((current, next), expected) in cases {
        assert_eq!(SigningKeys::new(current, Some(next)).err(), Some(expected));
    }
}

#[test]
fn no_print_shows_a_key() {
    assert_eq!(format!("{:?}", keys()), "SigningKeys(redacted)");
}

#[test]
fn each_required_claim_is_required() {
    for name in ["iss", "exp", "sub", "body"] {
        refused(&Mint::live().without(name), Refusal::Missing(name));
        for value in [json!(null), json!(true)] {
            refused(&Mint::live().with(name, value), Refusal::ClaimType(name));
        }
    }
}

#[test]
fn a_list_or_an_object_is_no_claim() {
    for name in ["iss", "exp", "sub", "body"] {
        for value in [json!([]), json!({}), json!([URL]), json!(["Upstash"]), json!([NOW + 290])] {
            let refusal = Mint::live().with(name, value.clone()).check().unwrap_err();
            // The library itself stumbles over some of these before we see the claim.
            let expected = [Refusal::ClaimType(name), Refusal::Claims];
            assert!(expected.contains(&refusal), "{name} = {value}: {refusal:?}");
        }
    }
}

#[test]
fn a_number_written_as_text_is_no_number() {
    for text in [(NOW + 290).to_string(), "".to_owned(), "never".to_owned()] {
        refused(&Mint::live().with("exp", text.as_str()), Refusal::ClaimType("exp"));
        refused(&Mint::live().with("nbf", text.as_str()), Refusal::ClaimType("nbf"));
    }
    refused(&Mint::live().with("nbf", json!(null)), Refusal::ClaimType("nbf"));
    for name in ["iss", "sub", "body"] {
        refused(&Mint::live().with(name, 7), Refusal::ClaimType(name));
    }
}

#[test]
fn another_issuer_is_refused() {
    for issuer in ["", "upstash", "UPSTASH", "Upstash ", "Upstash.example.com", "https://Upstash"] {
        refused(&Mint::live().with("iss", issuer), Refusal::Issuer);
    }
}

#[test]
fn another_url_is_refused() {
    let others = [
        "https://sync.example.com/api/background/sync/slave-to-prod/",
        "https://sync.example.com/api/background/sync/slave-to-PROD",
        "https://sync.example.com/api/background/sync/slave-to-prod/x",
        "https://sync.example.com//api/background/sync/slave-to-prod",
        "https://sync.example.com/api/background/sync/slave%2Dto-prod",
        "https://sync.example.com/api/background/sync/slave-to-prod#x",
        "https://sync.example.com/",
        "https://sync.example.com",
        "http://sync.example.com/api/background/sync/slave-to-prod",
        "HTTPS://sync.example.com/api/background/sync/slave-to-prod",
        "https://SYNC.example.com/api/background/sync/slave-to-prod",
        "https://sync.example.com:443/api/background/sync/slave-to-prod",
        "https://user@sync.example.com/api/background/sync/slave-to-prod",
        "https://sync.example.com.evil.example/api/background/sync/slave-to-prod",
        "https://evil.example/api/background/sync/slave-to-prod",
        "/api/background/sync/slave-to-prod",
        "",
    ];
    for url in others {
        let signed_for = url.to_owned();
        refused(&Mint::live().with("sub", url), Refusal::Url { signed_for });
    }
}

#[test]
fn another_query_is_refused() {
    for query in ["?", "?dry-run=1", "?pipeline=a&slice=2"] {
        refused(&Mint::live().with("sub", format!("{URL}{query}")), Refusal::Query);
    }
    let token = Mint::live().with("sub", format!("{URL}?b=2&a=1")).token();
    let url = format!("{URL}?a=1&b=2");
    assert_eq!(verify(&keys(), &token, &url, BODY, now()), Err(Refusal::Query));
}

#[test]
fn the_log_does_not_learn_the_query_of_another_url() {
    let token = Mint::live().with("sub", "https://evil.example/x?token=secret");
    assert!(!token.check().unwrap_err().to_string().contains("secret"));
}

#[test]
fn a_token_is_refused_two_seconds_after_its_end() {
    for (exp, seconds) in [(NOW - 2, 2), (NOW - 3, 3), (NOW - 86_400, 86_400)] {
        refused(&Mint::live().with("exp", exp), Refusal::Expired { seconds });
    }
    refused(&Mint::live().with("exp", 0), Refusal::Expired { seconds: NOW as u64 });
    refused(&Mint::live().with("exp", -5), Refusal::Expired { seconds: NOW as u64 + 5 });
}

#[test]
fn a_token_that_lives_longer_than_ten_minutes_is_refused() {
    for seconds in [601, 86_400, 10_000_000_000] {
        let token = Mint::live().with("exp", NOW + seconds);
        refused(&token, Refusal::Lifetime { seconds: seconds as u64 });
    }
    refused(&Mint::live().with("exp", 1e300), Refusal::Lifetime { seconds: u64::MAX });
}

#[test]
fn a_clock_before_1970_refuses_and_does_not_panic() {
    let early = UNIX_EPOCH - Duration::from_secs(1);
    let refusal = verify(&keys(), &Mint::live().token(), URL, BODY, early).unwrap_err();
    assert!(matches!(refusal, Refusal::Lifetime { .. }), "{refusal:?}");
}

#[test]
fn a_start_in_the_future_is_refused() {
    for seconds in [1, 60, 86_400_000] {
        let token = Mint::live().with("nbf", NOW + seconds);
        refused(&token, Refusal::NotYet { seconds: seconds as u64 });
    }
}

#[test]
fn another_body_is_refused() {
    let reserialised = serde_json::from_slice::<Value>(BODY).unwrap().to_string();
    let with_line_break = [BODY, b"\n"].concat();
    let token = Mint::live().token();
    for body in [reserialised.as_bytes(), &with_line_break, b"", &BODY[1..], b"other"] {
        assert_eq!(verify(&keys(), &token, URL, body, now()), Err(Refusal::Body));
    }
}

#[test]
fn another_spelling_of_the_body_hash_is_refused() {
    let hash = padded_hash(BODY);
    let standard = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(BODY));
    assert_ne!(hash, standard, "the body is chosen so that the two alphabets differ");
    let hex: String = Sha256::digest(BODY).iter().map(|byte| format!("{byte:02x}")).collect();
    let others = ["", "=", &hash[1..], &hash[..40], &hex, &standard, &format!("={hash}")];
    for other in others.into_iter().chain([&*hash.to_lowercase(), &format!(" {hash}")]) {
        refused(&Mint::live().with("body", other), Refusal::Body);
    }
}
