//! What a token claims: times, issuer, audience, what must be there.

use super::*;

#[test]
fn times_are_held_to_the_second() {
    let rules = Rules { clock_skew: 60, ..rules() };
    let at = |exp: u64| check_claims(&format!("{{\"exp\":{exp}}}"), &rules);
    assert_eq!(at(NOW - 59), Ok(NOW + 1));
    assert_eq!(at(NOW - 60), Err(Rejection::Expired));
    assert_eq!(at(0), Err(Rejection::Expired));
    let with =
        |name: &str, time: u64| check_claims(&format!("{{\"exp\":{},\"{name}\":{time}}}", NOW + 9), &rules);
    assert!(with("nbf", NOW + 60).is_ok());
    assert_eq!(with("nbf", NOW + 61), Err(Rejection::NotYetValid));
    assert!(with("iat", NOW + 60).is_ok());
    assert_eq!(with("iat", NOW + 61), Err(Rejection::IssuedInFuture));
}

#[test]
fn strange_times_are_refused_and_none_overflows() {
    for time in ["-1", "-0.5", "1e300", "1e18", "\"1900000000\"", "null", "true", "[1]", "{}"] {
        let refused = check_claims(&format!("{{\"exp\":{time}}}"), &rules());
        assert_eq!(refused, Err(Rejection::BadClaim(Claim::Expiry)), "{time}");
        let refused = check_claims(&format!("{{\"exp\":{},\"nbf\":{time}}}", NOW + 9), &rules());
        assert_eq!(refused, Err(Rejection::BadClaim(Claim::NotBefore)), "{time}");
    }
    assert_eq!(check_claims(&format!("{{\"exp\":{}}}", u64::MAX), &rules()), Ok(u64::MAX));
    assert_eq!(check_claims(&format!("{{\"exp\":{NOW}.75}}"), &rules()), Ok(NOW + 60));
    assert!(matches!(check_claims("{\"exp\":1e999}", &rules()), Err(Rejection::Malformed(_))));
    let late = verify(ed_token("{\"exp\":5}").as_bytes(), &keys(&[ed_jwk()]), &rules(), u64::MAX);
    assert_eq!(late, Err(Rejection::Expired));
}

#[test]
fn a_token_without_expiry_is_refused_unless_the_rules_allow_it() {
    assert_eq!(check_claims("{}", &rules()), Err(Rejection::MissingClaim("exp".to_owned())));
    assert_eq!(check_claims("{}", &Rules { expiry_required: false, ..rules() }), Ok(u64::MAX));
}

#[test]
fn issuer_and_audience_are_compared_to_the_letter() {
    let ours = Rules {
        issuers: vec!["https://iss.example".to_owned()],
        audience: vec!["api".to_owned()],
        ..rules()
    };
    let claims = |iss: Value, aud: Value| json!({"iss": iss, "aud": aud, "exp": NOW + 9}).to_string();
    let iss = json!("https://iss.example");
    assert!(check_claims(&claims(iss.clone(), json!("api")), &ours).is_ok());
    assert!(check_claims(&claims(iss.clone(), json!(["x", "api"])), &ours).is_ok());
    for wrong in ["https://iss.example/", "https://ISS.example", "https://iss.example.evil", ""] {
        assert_eq!(check_claims(&claims(json!(wrong), json!("api")), &ours), Err(Rejection::WrongIssuer));
    }
    for wrong in [json!("API"), json!("api2"), json!([]), json!(["x"]), json!("x api")] {
        assert_eq!(check_claims(&claims(iss.clone(), wrong), &ours), Err(Rejection::WrongAudience));
    }
    for bad in [json!(7), json!({"api": 1}), json!(["api", 7]), Value::Null] {
        assert_eq!(check_claims(&claims(iss.clone(), bad), &ours), Err(Rejection::BadClaim(Claim::Audience)));
    }
    for bad in [json!(["https://iss.example"]), Value::Null] {
        assert_eq!(check_claims(&claims(bad, json!("api")), &ours), Err(Rejection::BadClaim(Claim::Issuer)));
    }
    let without = |name: &str| Err(Rejection::MissingClaim(name.to_owned()));
    assert_eq!(check_claims(&json!({"aud": "api", "exp": NOW + 9}).to_string(), &ours), without("iss"));
    assert_eq!(check_claims(&json!({"iss": iss, "exp": NOW + 9}).to_string(), &ours), without("aud"));
}

#[test]
fn required_claims_are_there_and_not_null() {
    let rules = Rules { required: vec!["sub".to_owned(), "org.id".to_owned()], ..rules() };
    let claims = |rest: &str| format!("{{\"exp\":{}{rest}}}", NOW + 9);
    assert!(check_claims(&claims(r#","sub":"a","org":{"id":7}"#), &rules).is_ok());
    assert_eq!(
        check_claims(&claims(r#","sub":"a""#), &rules),
        Err(Rejection::MissingClaim("org.id".to_owned()))
    );
    assert_eq!(
        check_claims(&claims(r#","sub":null"#), &rules),
        Err(Rejection::MissingClaim("sub".to_owned()))
    );
}

#[test]
fn tokens_made_for_something_else_are_refused() {
    let ed = keys(&[ed_jwk()]);
    for header in [
        r#"{"alg":"EdDSA","typ":"dpop+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"logout+jwt"}"#,
        r#"{"alg":"EdDSA","typ":""}"#,
        r#"{"alg":"EdDSA","typ":7}"#,
    ] {
        assert_eq!(check(&token(header, &good_claims(), eddsa), &ed), Err(Rejection::WrongType), "{header}");
    }
    let rules = Rules { types: vec!["at+jwt".to_owned()], ..rules() };
    let refused =
        |header: &str| verify(token(header, &good_claims(), eddsa).as_bytes(), &ed, &rules, NOW).err();
    assert_eq!(refused(r#"{"alg":"EdDSA","typ":"application/AT+JWT"}"#), None);
    assert_eq!(refused(r#"{"alg":"EdDSA","typ":"JWT"}"#), Some(Rejection::WrongType));
    assert_eq!(refused(r#"{"alg":"EdDSA"}"#), Some(Rejection::WrongType));
}
