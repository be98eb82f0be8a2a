//! Texts that are no token, or another spelling of one. Each has a good MAC where it can have one.

use super::*;

/// `text` with another last character: one that differs only in bits that no byte uses.
fn with_unused_bits_set(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(text.len() % 4, 0, "a segment of whole groups has no unused bits");
    let last = text.chars().last().and_then(|last| ALPHABET.find(last)).unwrap();
    format!("{}{}", &text[..text.len() - 1], &ALPHABET[last + 1..last + 2])
}

/// The live token with its header and claims grown until both have unused bits.
fn parts_with_unused_bits() -> (String, String) {
    let grow = |json: &str| {
        let fill = (0..3).map(|blanks| encode(format!("{json}{}", " ".repeat(blanks))));
        fill.into_iter().find(|text| text.len() % 4 != 0).unwrap()
    };
    let live = Mint::live();
    (grow(&live.header), grow(&live.payload()))
}

#[test]
fn unused_bits_that_are_set_are_refused_in_each_part() {
    let (header, claims) = parts_with_unused_bits();
    let plain = signed(&format!("{header}.{claims}"), CURRENT);
    assert!(check(&plain).is_ok());

    let in_header = signed(&format!("{}.{claims}", with_unused_bits_set(&header)), CURRENT);
    let in_claims = signed(&format!("{header}.{}", with_unused_bits_set(&claims)), CURRENT);
    for token in [in_header, in_claims, with_unused_bits_set(&plain)] {
        assert_eq!(check(&token), Err(Refusal::Encoding));
    }
}

#[test]
fn padding_and_junk_are_refused_in_each_part() {
    let live = Mint::live();
    let (header, claims) = (encode(&live.header), encode(live.payload()));
    let token = live.token();
    for junk in ["=", "==", " ", "\n", "\r\n", "\t", "\0", "+", "/", "!", "%3D", "é", "\u{feff}"] {
        let in_parts = [
            signed(&format!("{header}{junk}.{claims}"), CURRENT),
            signed(&format!("{junk}{header}.{claims}"), CURRENT),
            signed(&format!("{header}.{claims}{junk}"), CURRENT),
            signed(&format!("{header}.{junk}{claims}"), CURRENT),
            format!("{token}{junk}"),
            format!("{junk}{token}"),
        ];
        for token in in_parts {
            assert_eq!(check(&token), Err(Refusal::Encoding), "with {junk:?}");
        }
    }
}

#[test]
fn any_single_character_changed_is_refused() {
    let token = Mint::live().token();
    for place in 0..token.len() {
        let other = if &token[place..=place] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &token[..place], &token[place + 1..]);
        assert!(check(&changed).is_err(), "character {place} changed to {other}");
    }
}

#[test]
fn any_other_number_of_parts_is_refused() {
    let live = Mint::live();
    let token = live.token();
    let encrypted = format!("{token}.{}.{}", encode("a"), encode("b"));
    let cases = ["", ".", "token", "....", &live.message(), &encrypted, &format!("{token}.")];
    for token in cases.into_iter().chain([&*format!(".{token}"), &format!("Bearer.{token}")]) {
        assert_eq!(check(token), Err(Refusal::Parts), "{token:?}");
    }
}

#[test]
fn empty_parts_are_refused() {
    let live = Mint::live();
    let (header, claims) = (encode(&live.header), encode(live.payload()));
    assert_eq!(check(".."), Err(Refusal::Header));
    assert_eq!(check(&signed(&format!(".{claims}"), CURRENT)), Err(Refusal::Header));
    assert_eq!(check(&signed(&format!("{header}."), CURRENT)), Err(Refusal::Claims));
    assert_eq!(check(&format!("{header}.{claims}.")), Err(Refusal::Mac));
}

#[test]
fn a_mac_that_is_cut_grown_or_flipped_is_refused() {
    let message = Mint::live().message();
    let mac = mac_of(&message, CURRENT);
    let grown = [&mac[..], &[0]].concat();
    let flipped: Vec<u8> = mac.iter().map(|byte| byte ^ 1).collect();
    for other in [&mac[..0], &mac[..1], &mac[..16], &mac[..31], &grown, &flipped, &[0; 32]] {
        assert_eq!(check(&format!("{message}.{}", encode(other))), Err(Refusal::Mac));
    }
}

#[test]
fn a_mac_taken_from_another_token_is_refused() {
    let (good, other) = (Mint::live().token(), Mint::live().with("jti", "jwt_other").message());
    let mac = good.rsplit('.').next().unwrap();
    assert_eq!(check(&format!("{other}.{mac}")), Err(Refusal::Mac));
}

#[test]
fn a_token_over_the_longest_size_is_refused_before_it_is_read() {
    let long = Mint::live().with("jti", "x".repeat(MAX_TOKEN_BYTES)).token();
    assert_eq!(check(&long), Err(Refusal::TooLong));
    assert_eq!(check(&".".repeat(MAX_TOKEN_BYTES + 1)), Err(Refusal::TooLong));
}

#[test]
fn a_claim_or_header_field_given_twice_is_refused() {
    for name in ["iss", "sub", "exp", "nbf", "body"] {
        assert_eq!(Mint::live().twice(name).check(), Err(Refusal::Claims), "{name} twice");
    }
    let two_algorithms = [r#"{"alg":"HS256","alg":"HS256"}"#, r#"{"alg":"none","alg":"HS256"}"#];
    for header in two_algorithms {
        assert_eq!(Mint::live().header(header).check(), Err(Refusal::Header));
    }
}

#[test]
fn signed_claims_that_are_no_json_object_are_refused() {
    let header = encode(Mint::live().header);
    let payload = Mint::live().payload();
    let cases = ["", "null", "7", "\"text\"", "[]", "{", &payload[1..], &format!("{payload}x")];
    for json in cases.into_iter().chain(["{\"exp\": 1e999}", "{\"exp\": NaN}", &"[".repeat(999)]) {
        let token = signed(&format!("{header}.{}", encode(json)), CURRENT);
        assert_eq!(check(&token), Err(Refusal::Claims), "{json:?}");
    }
    let no_text = signed(&format!("{header}.{}", encode(b"{\"sub\":\"\xff\"}")), CURRENT);
    assert_eq!(check(&no_text), Err(Refusal::Claims));
}

#[test]
fn a_list_of_the_right_values_in_order_is_neither_header_nor_claims() {
    let values = json!(["Upstash", URL, NOW + 290, -1, padded_hash(BODY)]);
    let claims =
        signed(&format!("{}.{}", encode(Mint::live().header), encode(values.to_string())), CURRENT);
    assert_eq!(check(&claims), Err(Refusal::Claims));
    assert_eq!(Mint::live().header(r#"["HS256"]"#).check(), Err(Refusal::Header));
}

#[test]
fn a_header_that_is_no_json_object_is_refused() {
    for json in ["", "null", "7", "HS256", "{", "{\"alg\":\"HS256\"}x", "\u{feff}{}"] {
        assert_eq!(Mint::live().header(json).check(), Err(Refusal::Header), "{json:?}");
    }
}
