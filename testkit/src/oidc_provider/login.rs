//! What users see: the authorisation and logout end points (OpenID Connect Core section 3.1.2, RFC 7636, RFC 9207).

use hyper::StatusCode;

use super::form::{Form, with_parameters};
use super::serving::Answer;
use super::state::{Code, Grant, random_text};
use super::{Shared, State};

/// `GET /authorize`.
pub(super) fn authorize(shared: &Shared, query: &str) -> Answer {
    let mut state = shared.state();
    let form = match Form::parse(query) {
        Ok(form) => form,
        Err(why) => return Answer::page(StatusCode::BAD_REQUEST, &why),
    };
    // Whoever is not known, and wherever he wants it sent, gets nothing by redirection.
    if let Err(why) = known_place(&state, &form, "redirect_uri") {
        return Answer::page(StatusCode::BAD_REQUEST, &why);
    }
    if let Err((error, why)) = look_at(&form) {
        return refuse(shared, &form, error, &why);
    }
    match state.consenting.clone() {
        Some(user) => accept(shared, &mut state, &form, &user),
        None => Answer::page(StatusCode::OK, &login_form(query, "")),
    }
}

/// `POST /login`: the form was filled in.
pub(super) fn login(shared: &Shared, body: &str) -> Answer {
    let mut state = shared.state();
    let Ok(filled) = Form::parse(body) else {
        return Answer::page(StatusCode::BAD_REQUEST, "malformed form");
    };
    let query = filled.get("query").unwrap_or_default().to_owned();
    let form = Form::parse(&query).unwrap_or_default();
    if known_place(&state, &form, "redirect_uri").is_err() || look_at(&form).is_err() {
        return Answer::page(StatusCode::BAD_REQUEST, "the login did not begin here");
    }
    let name = filled.get("username").unwrap_or_default().to_owned();
    let password = filled.get("password").unwrap_or_default();
    match state.users.get(&name).is_some_and(|user| user.password == password) {
        true => accept(shared, &mut state, &form, &name),
        false => Answer::page(StatusCode::UNAUTHORIZED, &login_form(&query, "<p>That was wrong.</p>")),
    }
}

/// `GET /logout` (RP-Initiated Logout 1.0 section 2).
pub(super) fn logout(shared: &Shared, query: &str) -> Answer {
    let state = shared.state();
    let form = Form::parse(query).unwrap_or_default();
    let Some(to) = form.get("post_logout_redirect_uri") else {
        return Answer::page(StatusCode::OK, "You are logged out.");
    };
    if let Err(why) = known_place(&state, &form, "post_logout_redirect_uri") {
        return Answer::page(StatusCode::BAD_REQUEST, &why);
    }
    let state = form.get("state").map(|state| ("state", state));
    Answer::redirect(&with_parameters(to, state.as_slice()))
}

fn known_place(state: &State, form: &Form, parameter: &str) -> Result<(), String> {
    let client = state.clients.get(form.need("client_id")?).ok_or("the client is not known")?;
    let uri = form.need(parameter)?;
    let is_known = client.redirect_uris.iter().any(|known| known == uri);
    if is_known { Ok(()) } else { Err(format!("{uri} is not an address of this client")) }
}

fn look_at(form: &Form) -> Result<(), (&'static str, String)> {
    let need = |name| form.need(name).map_err(|why| ("invalid_request", why));
    if need("response_type")? != "code" {
        return Err(("unsupported_response_type", "only codes are given here".to_owned()));
    }
    if !need("scope")?.split(' ').any(|scope| scope == "openid") {
        return Err(("invalid_scope", "the scope `openid` is missing".to_owned()));
    }
    need("state")?;
    need("nonce")?;
    // Without a method it is `plain`, which protects nobody.
    if need("code_challenge_method")? != "S256" || need("code_challenge")?.len() != 43 {
        return Err(("invalid_request", "a code challenge by S256 is needed".to_owned()));
    }
    Ok(())
}

fn refuse(shared: &Shared, form: &Form, error: &str, why: &str) -> Answer {
    let parameters = [
        ("error", error),
        ("error_description", why),
        ("state", form.get("state").unwrap_or_default()),
        ("iss", &shared.base),
    ];
    Answer::redirect(&with_parameters(form.get("redirect_uri").unwrap_or_default(), &parameters))
}

fn accept(shared: &Shared, state: &mut State, form: &Form, user: &str) -> Answer {
    let text = |name: &str| form.get(name).unwrap_or_default().to_owned();
    let grant = Grant {
        family: state.new_family(),
        client: text("client_id"),
        user: user.to_owned(),
        scope: text("scope"),
        nonce: form.get("nonce").map(str::to_owned),
    };
    let code = random_text();
    let redirect_uri = text("redirect_uri");
    let parameters = [("code", code.as_str()), ("state", &text("state")), ("iss", &shared.base)];
    let back = with_parameters(&redirect_uri, &parameters);
    state.codes.insert(
        code.clone(),
        Code { grant, redirect_uri, challenge: text("code_challenge"), is_used: false },
    );
    Answer::redirect(&back)
}

fn login_form(query: &str, remark: &str) -> String {
    let query = query.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    format!(
        "{remark}<form method=\"post\" action=\"/login\"><input name=\"username\">\
         <input name=\"password\" type=\"password\"><input name=\"query\" type=\"hidden\" value=\"{query}\">\
         <button>Log in</button></form>"
    )
}
