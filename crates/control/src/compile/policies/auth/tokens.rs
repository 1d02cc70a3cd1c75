//! Methods for bearer tokens.

use std::sync::Arc;

use tollgate_config::{self as config, JwsAlgorithm, KeyMaterial, Located, Origin, Switch};
use tollgate_credentials::jwt::{Algorithm, Algorithms, Key, Keys, Rules, TokenCache};
use tollgate_outbound::jwks::{self, KeySource, Place};
use tollgate_outbound::source::Freshness;
use tollgate_policies::auth::introspection::{self, Answers, AnswersSettings, Introspection};
use tollgate_policies::auth::jwt::{self, GoodTokens, Jwt, KeyUse, TokenKeys, read_keys};
use tollgate_policies::auth::{Method, Places, TokenSettings};

use super::super::Compiler;
use super::calls::random;
use super::handed_on;

impl Compiler<'_> {
    pub(super) fn jwt(
        &mut self,
        name: &str,
        at: &config::JwtAuth,
        origin: Origin,
    ) -> Option<Arc<dyn Method>> {
        let known: Vec<_> = at.keys.iter().map(|key| self.known_key(&key.value)).collect();
        let known = known.into_iter().collect::<Option<Vec<Key>>>()?;
        let mut allowed: Algorithms = at.algorithms.iter().map(|one| algorithm(one.value)).collect();
        if at.algorithms.is_empty() {
            // A secret of the document's own says that its algorithm is meant.
            let of_keys = at.keys.iter().map(|key| algorithm(key.value.algorithm.value));
            allowed = Algorithm::ALL.into_iter().filter(|one| !one.is_symmetric()).chain(of_keys).collect();
        }
        let rules = Rules {
            issuers: at.issuer.iter().map(|issuer| issuer.value.clone()).collect(),
            audience: at.audience.iter().map(|audience| audience.value.clone()).collect(),
            algorithms: allowed,
            required: at.required_claims.iter().map(|claim| claim.value.as_str().to_owned()).collect(),
            clock_skew: at.clock_skew.get().as_secs(),
            ..Rules::default()
        };
        let tokens = TokenSettings {
            places: places(&at.from),
            forward: at.forward,
            consumer: at.consumer.as_str().to_owned(),
            claims: handed_on(&at.claims_to_headers),
            ..TokenSettings::new(name)
        };
        let (source, identity) = self.key_source(name, at, allowed, origin)?;
        let keys = TokenKeys::new(Keys::new(known), source.map(KeyUse::new));
        let capacity = at.cache.get() as usize;
        let cache = match capacity {
            0 => None,
            _ => {
                let make = || Ok::<_, ()>(TokenCache::new(capacity, &random()));
                let identity = format!("tokens {name} {capacity} {identity}");
                let cache: Arc<GoodTokens> =
                    self.carried.keep(self.before.carried(), &identity, make).ok()?;
                Some(cache)
            }
        };
        Some(Arc::new(Jwt::new(jwt::Settings { tokens, rules }, keys, cache)))
    }

    /// The source of an issuer's keys, and what tells it apart; no source where all keys are known.
    fn key_source(
        &mut self,
        name: &str,
        at: &config::JwtAuth,
        allowed: Algorithms,
        origin: Origin,
    ) -> Option<(Option<KeySource<Keys>>, String)> {
        let place = match (&at.jwks, &at.issuer) {
            (Some(jwks), _) => Place::Url(self.url(jwks)?),
            (None, Some(issuer)) if at.keys.is_empty() => match issuer.value.parse() {
                Ok(issuer) => Place::Issuer(issuer),
                Err(error) => {
                    let message = format!("the keys of this issuer cannot be asked for: {error}");
                    return self.wrong(issuer.origin, message);
                }
            },
            _ => return Some((None, "known".to_owned())),
        };
        self.keys_at(&format!("the keys of auth {name}"), place, allowed, at.ca.as_ref(), origin)
            .map(|(source, identity)| (Some(source), identity))
    }

    /// The keys at a place, kept fresh as long as documents want them.
    pub(super) fn keys_at(
        &mut self,
        what: &str,
        place: Place,
        allowed: Algorithms,
        ca: Option<&Located<config::FilePath>>,
        origin: Origin,
    ) -> Option<(KeySource<Keys>, String)> {
        let (client, trust) = self.client(ca, origin)?;
        let identity = format!("keys {place:?} {allowed:?} {trust}");
        let told = self.heard_of(what.to_owned());
        let make = || {
            let freshness = Freshness::default();
            Ok::<_, ()>(jwks::fetch(&client, place, freshness, read_keys(allowed), told))
        };
        let source = self.carried.keep(self.before.carried(), &identity, make).ok()?;
        Some(((*source).clone(), identity))
    }

    fn known_key(&mut self, key: &config::JwtKey) -> Option<Key> {
        let id = key.id.as_ref().map(|id| id.value.to_string());
        let algorithm = algorithm(key.algorithm.value);
        let (made, origin) = match &key.material {
            KeyMaterial::File(path) => {
                let pem = self.file(path)?;
                (Key::from_pem(id, pem.value.bytes(), algorithm), path.origin)
            }
            KeyMaterial::Secret(secret) => {
                (Key::from_secret(id, secret.value.reveal(), algorithm), secret.origin)
            }
        };
        match made {
            Ok(key) => Some(key),
            Err(unusable) => self.wrong(origin, format!("the key cannot be used: {unusable}")),
        }
    }

    pub(super) fn introspection(
        &mut self,
        name: &str,
        at: &config::IntrospectionAuth,
        origin: Origin,
    ) -> Option<Arc<dyn Method>> {
        let place = self.url(&at.url)?;
        let (client, _) = self.client(at.ca.as_ref(), origin)?;
        let (size, ttl) = match &at.cache {
            Switch::On(cache) => (cache.size.get() as usize, cache.ttl.get()),
            Switch::Off => (0, std::time::Duration::ZERO),
        };
        let tokens = TokenSettings {
            places: places(&at.from),
            forward: at.forward,
            consumer: at.consumer.as_str().to_owned(),
            claims: handed_on(&at.claims_to_headers),
            ..TokenSettings::new(name)
        };
        let settings = introspection::Settings {
            tokens,
            url: place,
            client_id: at.client_id.to_string(),
            client_secret: at.client_secret.reveal().to_owned(),
            timeout: at.timeout.get(),
            scopes: at.scopes.iter().map(|scope| scope.value.as_str().to_owned()).collect(),
            audience: Vec::new(),
            issuers: Vec::new(),
            ttl,
        };
        let make = || {
            let room = AnswersSettings { good: size, bad: size.div_ceil(4) };
            Ok::<_, ()>(Answers::new(room, &random()))
        };
        let answers =
            self.carried.keep(self.before.carried(), &format!("answers {name} {size}"), make).ok()?;
        Some(Arc::new(Introspection::new(settings, client, answers)))
    }
}

fn places(from: &config::TokenPlace) -> Places {
    if from.header.is_none() && from.query.is_none() && from.cookie.is_none() {
        return Places::bearer();
    }
    let header = from.header.as_ref().map(|header| header.value.to_string());
    let query = from.query.as_ref().map(|query| query.value.to_string());
    let cookie = from.cookie.as_ref().map(|cookie| cookie.value.to_string());
    Places::new(header.as_deref(), query.as_deref(), cookie.as_deref())
}

fn algorithm(algorithm: JwsAlgorithm) -> Algorithm {
    match algorithm {
        JwsAlgorithm::Rs256 => Algorithm::RS256,
        JwsAlgorithm::Rs384 => Algorithm::RS384,
        JwsAlgorithm::Rs512 => Algorithm::RS512,
        JwsAlgorithm::Ps256 => Algorithm::PS256,
        JwsAlgorithm::Ps384 => Algorithm::PS384,
        JwsAlgorithm::Ps512 => Algorithm::PS512,
        JwsAlgorithm::Es256 => Algorithm::ES256,
        JwsAlgorithm::Es384 => Algorithm::ES384,
        JwsAlgorithm::EdDsa => Algorithm::EdDSA,
        JwsAlgorithm::Hs256 => Algorithm::HS256,
        JwsAlgorithm::Hs384 => Algorithm::HS384,
        JwsAlgorithm::Hs512 => Algorithm::HS512,
    }
}
