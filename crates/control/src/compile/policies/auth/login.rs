//! Login of browsers.

use std::sync::Arc;

use tollgate_config::{self as config, Origin};
use tollgate_credentials::jwt::Algorithms;
use tollgate_outbound::jwks::Place;
use tollgate_outbound::oidc::{self as provider, Issuer};
use tollgate_outbound::source::Freshness;
use tollgate_policies::auth::Method;
use tollgate_policies::auth::oidc::{CookieSettings, Oidc, Outside, Refreshes, SameSite, Settings};

use super::super::Compiler;
use super::calls::fill;
use super::handed_on;

impl Compiler<'_> {
    pub(super) fn oidc(
        &mut self,
        name: &str,
        at: &config::OidcAuth,
        origin: Origin,
    ) -> Option<Arc<dyn Method>> {
        let issuer: Issuer = match at.issuer.value.as_str().parse() {
            Ok(issuer) => issuer,
            Err(error) => {
                return self.wrong(at.issuer.origin, format!("this issuer cannot be asked: {error}"));
            }
        };
        let (client, trust) = self.client(at.ca.as_ref(), origin)?;
        let before = self.before.carried();
        let told = self.heard_of(format!("the provider of auth {name}"));
        let find = || Ok::<_, ()>(provider::fetch(&client, issuer.clone(), Freshness::default(), told));
        let identity = format!("provider {} {trust}", at.issuer.value.as_str());
        let provider = self.carried.keep(before, &identity, find).ok()?;
        let keys = format!("the keys of auth {name}");
        let place = Place::Issuer(issuer.clone());
        let (keys, _) = self.keys_at(&keys, place, Algorithms::asymmetric(), at.ca.as_ref(), origin)?;
        let refreshes = self
            .carried
            .keep(before, &format!("refreshes {name}"), || Ok::<_, ()>(Refreshes::default()))
            .ok()?;
        let secrets = at.cookie.secrets.iter().map(|secret| secret.value.reveal().to_vec()).collect();
        let usual = Settings::new(name, at.issuer.value.as_str(), at.client_id.as_str(), secrets);
        let settings = Settings {
            client_secret: at.client_secret.as_ref().map(|secret| secret.reveal().to_owned()),
            scopes: at.scopes.iter().map(|scope| scope.value.as_str().to_owned()).collect(),
            callback: at.callback.as_str().to_owned(),
            logout: Some(at.logout.as_str().to_owned()),
            after_logout: at.after_logout.value.to_string(),
            cookie: CookieSettings {
                name: Some(at.cookie.name.to_string()),
                lifetime_s: at.cookie.lifetime.get().as_secs(),
                same_site: match at.cookie.same_site.value {
                    config::SameSite::Strict => SameSite::Strict,
                    config::SameSite::Lax => SameSite::Lax,
                    config::SameSite::None => SameSite::None,
                },
                secure: at.cookie.secure.value,
                secrets: usual.cookie.secrets.clone(),
            },
            consumer: at.consumer.as_str().to_owned(),
            claims_to_headers: handed_on(&at.claims_to_headers),
            timeout: at.timeout.get(),
            ..usual
        };
        let outside =
            Outside { client, provider: (*provider).clone(), keys, refreshes, random: Arc::new(fill) };
        let method = self.usable(Oidc::new(settings, outside), origin)?;
        Some(Arc::new(method))
    }
}
