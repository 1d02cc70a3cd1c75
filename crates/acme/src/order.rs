//! One order: from the names to the certificate (RFC 8555 section 7.4).

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error,
    Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::certificate::Issued;
use crate::challenges::{
    ChallengeCertificate, ChallengeCertificates, Challenges, PublishedCertificate, PublishedToken,
};
use crate::failure::{Failure, Scope};
use crate::http::Client;
use crate::settings::{ChallengeKind, Names};

/// How often and how long to look whether the directory has done its part.
const LOOKS: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(100))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// What an order needs.
pub(crate) struct Ordering<'a> {
    pub(crate) account: &'a Account,
    pub(crate) client: &'a Client,
    pub(crate) names: &'a Names,
    /// The certificate that is renewed, where the directory wants to know it.
    pub(crate) replaces: Option<CertificateIdentifier<'static>>,
    pub(crate) kind: ChallengeKind,
    pub(crate) challenges: &'a Arc<Challenges>,
    pub(crate) certificates: &'a Arc<dyn ChallengeCertificates>,
    pub(crate) now: Duration,
}

/// Keeps the answer to a challenge in place.
enum Published {
    Token(#[expect(dead_code, reason = "held for its drop")] PublishedToken),
    Certificate(#[expect(dead_code, reason = "held for its drop")] PublishedCertificate),
}

impl Ordering<'_> {
    /// Orders, answers challenges, and fetches the certificate. Whatever happens, and also if this is
    /// dropped on its way, no answer to a challenge stays behind.
    pub(crate) async fn run(&self) -> Result<Issued, Failure> {
        let mut order = self.begin().await?;
        let answers = self.answer(&mut order).await?;
        let status = order.poll_ready(&LOOKS).await.map_err(|error| self.judge(error))?;
        drop(answers);
        if status != OrderStatus::Ready {
            return Err(self.explain(&mut order).await);
        }
        let (key, request) = self.request().map_err(|error| Failure::of_certificate(error.to_string()))?;
        order.finalize_csr(&request).await.map_err(|error| self.judge(error))?;
        let chain = order.poll_certificate(&LOOKS).await.map_err(|error| self.judge(error))?;
        self.check(format!("{key}{chain}"))
    }

    async fn begin(&self) -> Result<Order, Failure> {
        let identifiers: Vec<_> = self.names.all().iter().cloned().map(Identifier::Dns).collect();
        let mut new = NewOrder::new(&identifiers);
        if let Some(replaces) = self.replaces.clone() {
            new = new.replaces(replaces);
        }
        match self.account.new_order(&new).await {
            Err(Error::Unsupported(_)) => self.account.new_order(&NewOrder::new(&identifiers)).await,
            done => done,
        }
        .map_err(|error| self.judge(error))
    }

    /// Puts an answer in place for each authorization that needs one, and tells the directory.
    async fn answer(&self, order: &mut Order) -> Result<Vec<Published>, Failure> {
        let mut answers = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let authorization = authorization.map_err(|error| self.judge(error))?;
            match authorization.status {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending => answers.push(self.challenge(authorization).await?),
                status => {
                    let message =
                        format!("the authorization for {} is {status:?}", authorization.identifier());
                    return Err(Failure::of_certificate(message));
                }
            }
        }
        Ok(answers)
    }

    async fn challenge(&self, mut authorization: AuthorizationHandle<'_>) -> Result<Published, Failure> {
        let name = authorization.identifier().to_string();
        let kind = match self.kind {
            ChallengeKind::Http01 => ChallengeType::Http01,
            ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let mut challenge = authorization.challenge(kind).ok_or_else(|| {
            Failure::of_certificate(format!("the directory offers no {} for {name}", self.kind))
        })?;
        let answer = challenge.key_authorization();
        let published = match self.kind {
            ChallengeKind::Http01 => {
                Published::Token(self.challenges.publish(&challenge.token, answer.as_str()))
            }
            ChallengeKind::TlsAlpn01 => {
                let published = ChallengeCertificate::new(&name, answer.digest().as_ref())
                    .map_err(|error| error.to_string())
                    .and_then(|made| PublishedCertificate::new(self.certificates, &name, made));
                let failed = |why| Failure::of_certificate(format!("the challenge for {name}: {why}"));
                Published::Certificate(published.map_err(failed)?)
            }
        };
        challenge.set_ready().await.map_err(|error| self.judge(error))?;
        Ok(published)
    }

    /// What the directory says about why the order did not become ready.
    async fn explain(&self, order: &mut Order) -> Failure {
        let mut message = String::from("the directory refuses the order");
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let Ok(state) = authorization.refresh().await else { break };
            let name = state.identifier().to_string();
            // The others were not asked.
            for error in state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()) {
                // Writing to a string does not fail.
                let _ = write!(message, "; {} for {name}: {error}", self.kind);
            }
        }
        Failure::of_certificate(message)
    }

    /// A new key as PEM, and the request for a certificate for it as DER.
    fn request(&self) -> Result<(String, Vec<u8>), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.all())?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key)?;
        Ok((key.serialize_pem(), request.der().to_vec()))
    }

    /// Whether we got what we ordered.
    fn check(&self, pem: String) -> Result<Issued, Failure> {
        let bad =
            |why: String| Failure::of_certificate(format!("the directory sent a bad certificate: {why}"));
        let issued = Issued::parse(pem).map_err(|error| bad(error.to_string()))?;
        if !issued.covers(self.names.all()) {
            return Err(bad(format!("it is for {}", issued.names.join(", "))));
        }
        if issued.validity.until <= self.now {
            return Err(bad("it has expired already; is the clock right?".into()));
        }
        Ok(issued)
    }

    fn judge(&self, error: Error) -> Failure {
        judge(self.client, error, self.now)
    }
}

/// What an error means for the next try.
pub(crate) fn judge(client: &Client, error: Error, now: Duration) -> Failure {
    const URN: &str = "urn:ietf:params:acme:error:";
    let notes = client.take_notes();
    let retry_after = notes.retry_after.map(|wait| wait.from(now));
    if let Some(why) = notes.no_answer {
        return Failure::of_everything(why);
    }
    // An overloaded server says so in all kinds of ways, and seldom as a problem document.
    if let Some(status) = notes.status.filter(|status| status.is_server_error()) {
        let failure = Failure::of_everything(format!("the directory answers {status}: {error}"));
        return failure.with_retry_after(retry_after);
    }
    let kind = match &error {
        Error::Api(problem) => problem.r#type.as_deref().and_then(|kind| kind.strip_prefix(URN)),
        _ => None,
    };
    let is_account_gone = kind == Some("accountDoesNotExist");
    let scope = if is_account_gone { Scope::Everything } else { Scope::Certificate };
    let message = match (&error, notes.status) {
        (Error::Json(_), Some(status)) => format!("the directory answers {status}: {error}"),
        _ => error.to_string(),
    };
    Failure { message, retry_after, scope, is_account_gone }
}
