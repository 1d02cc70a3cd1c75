//! An OpenID provider on loopback: real keys, the code flow with PKCE, refresh tokens that rotate, introspection,
//! and what can go wrong with all that.

mod form;
mod keys;
mod login;
mod serving;
mod state;
mod tokens;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, oneshot};

pub use keys::{Algorithm, SignWith};

use keys::{Keys, encode, hmac_sha256, signing_input};
use state::{Client, State, User, now, random_text};

use crate::PATIENCE;
use crate::authority::Authority;

/// An OpenID provider on a port of its own, for as long as this lives.
#[derive(Debug)]
pub struct OidcProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the provider's connections share with the test.
#[derive(Debug)]
struct Shared {
    /// The issuer: `http://127.0.0.1:PORT`.
    base: String,
    state: Mutex<State>,
    /// Told of requests.
    changed: Condvar,
    /// Told when requests may go on.
    released: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits while the provider is stalled.
    async fn pass(&self) {
        loop {
            let released = self.released.notified();
            if !self.state().manner.is_stalled {
                return;
            }
            released.await;
        }
    }

    /// OpenID Connect Discovery 1.0 section 3.
    fn description(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.base);
        let mut description = json!({
            "issuer": self.base,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
            "introspection_endpoint": at("/introspect"),
            "end_session_endpoint": at("/logout"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        });
        change(&mut description, self.state().manner.description.clone());
        description
    }
}

/// Sets members of an object; null takes them out.
fn change(object: &mut Value, members: Map<String, Value>) {
    for (name, value) in members {
        match object.as_object_mut() {
            Some(object) if value.is_null() => drop(object.remove(&name)),
            _ => object[name] = value,
        }
    }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

impl OidcProvider {
    /// Starts one without clients and users, in the clear.
    pub fn start() -> Self {
        Self::run(None)
    }

    /// Starts one by TLS, with a certificate of this authority for its address.
    pub fn start_secured(authority: &Authority) -> Self {
        let issued = authority.issue("oidc-provider", &["127.0.0.1", "localhost"]);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.der()], issued.private_key())
            .unwrap();
        Self::run(Some(Arc::new(config)))
    }

    fn run(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            base: format!("{scheme}://{address}"),
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
            released: Notify::new(),
        });
        let (stop, stopped) = oneshot::channel();
        let for_thread = shared.clone();
        let thread = std::thread::spawn(move || serving::run(listener, tls, for_thread, stopped));
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Its name in tokens, which is its address, too.
    pub fn issuer(&self) -> &str {
        &self.shared.base
    }

    /// The URL of one of its paths, such as `/jwks`, `/introspect` or `/token`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.shared.base)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Knows a client from now on, with the addresses that users may be sent back to.
    pub fn register(&self, id: &str, secret: &str, redirect_uris: &[&str]) {
        let redirect_uris = redirect_uris.iter().map(|uri| (*uri).to_owned()).collect();
        let client = Client { secret: secret.to_owned(), redirect_uris };
        self.shared.state().clients.insert(id.to_owned(), client);
    }

    /// Knows a user from now on, about whom ID tokens say these claims beside `sub`.
    pub fn add_user(&self, name: &str, password: &str, claims: Value) {
        let user = User { password: password.to_owned(), claims: members(claims) };
        self.shared.state().users.insert(name.to_owned(), user);
    }

    /// Lets this user in, who agrees to everything, without showing the form; `None` shows it again.
    pub fn consent(&self, user: Option<&str>) {
        self.shared.state().consenting = user.map(str::to_owned);
    }

    /// How long tokens live that are given from now on.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.shared.state().manner.token_lifetime = lifetime;
    }

    /// A token with these claims, beside `iss`, `iat` and `exp` in five minutes; a claim that is null is left out.
    pub fn issue(&self, claims: Value, algorithm: Algorithm) -> String {
        let mut all = json!({ "iss": self.shared.base, "iat": now(), "exp": now() + 300 });
        change(&mut all, members(claims));
        self.shared.state().keys.token(algorithm, &all)
    }

    /// A token of exactly these texts, whatever they are, for attacks.
    pub fn sign_raw(&self, header: &str, claims: &str, key: SignWith<'_>) -> String {
        let signed = signing_input(header, claims);
        let signature = match key {
            SignWith::Own(algorithm) => self.shared.state().keys.sign(algorithm, signed.as_bytes()),
            SignWith::Stranger(algorithm) => Keys::generate(0).sign(algorithm, signed.as_bytes()),
            SignWith::Hmac(key) => hmac_sha256(key, signed.as_bytes()),
            SignWith::Nothing => Vec::new(),
        };
        format!("{signed}.{}", encode(signature))
    }

    /// The id (`kid`) of the current key.
    pub fn key_id(&self, algorithm: Algorithm) -> String {
        self.shared.state().keys.id(algorithm)
    }

    /// The current public key as PEM.
    pub fn public_pem(&self, algorithm: Algorithm) -> String {
        self.shared.state().keys.public_pem(algorithm)
    }

    /// The current public keys, as they are published.
    pub fn jwks(&self) -> Value {
        self.shared.state().keys.jwks()
    }

    /// Publishes other keys, with other ids, instead of those before.
    pub fn rotate_keys(&self) {
        let next = self.shared.state().keys.generation() + 1;
        let keys = Keys::generate(next);
        self.shared.state().keys = keys;
    }

    /// A token that says nothing by itself. Who asks hears these claims, until it is revoked or their `exp`.
    pub fn issue_opaque(&self, claims: Value) -> String {
        let token = random_text();
        self.shared.state().tokens.insert(token.clone(), members(claims).into());
        token
    }

    /// Knows an access token no more.
    pub fn revoke(&self, token: &str) {
        self.shared.state().tokens.remove(token);
    }

    /// Says that keys and description are fresh for so many seconds; `None` says nothing about it.
    pub fn set_max_age(&self, seconds: Option<u64>) {
        self.shared.state().manner.max_age = seconds;
    }

    /// Describes itself with these members being other than they should be; null takes one out.
    pub fn describe(&self, otherwise: Value) {
        self.shared.state().manner.description = members(otherwise);
    }

    /// Gives ID tokens with these claims being other than they should be; null takes one out.
    pub fn distort_id_tokens(&self, claims: Value) {
        self.shared.state().manner.id_token = members(claims);
    }

    /// Answers the next requests, so many, with this status instead of doing anything.
    pub fn fail(&self, times: usize, status: u16) {
        self.shared.state().manner.failures.extend(std::iter::repeat_n(status, times));
    }

    /// Answers nothing any more, until [`Self::behave`].
    pub fn stall(&self) {
        self.shared.state().manner.is_stalled = true;
    }

    /// Behaves again.
    pub fn behave(&self) {
        let mut state = self.shared.state();
        state.manner.failures.clear();
        state.manner.is_stalled = false;
        drop(state);
        self.shared.released.notify_waiters();
    }

    /// How many requests came for a path.
    pub fn requests(&self, path: &str) -> usize {
        self.shared.state.lock().unwrap().requests.get(path).copied().unwrap_or_default()
    }

    /// Waits until so many requests came for a path.
    pub fn wait_for_requests(&self, path: &str, count: usize) {
        let came = |state: &State| state.requests.get(path).copied().unwrap_or_default() >= count;
        let state = self.shared.state.lock().unwrap();
        let waiting = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !came(state));
        let (state, _) = waiting.unwrap();
        let (is_there, told) = (came(&state), format!("{:?}", state.requests));
        drop(state);
        assert!(is_there, "the provider did not see {count} requests of {path} in {PATIENCE:?}: {told}");
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the OpenID provider panicked");
        }
    }
}
