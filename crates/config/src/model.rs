//! The document's types, one row per key: field, default, schema and reference come from the row.

mod access_log;
mod auth;
mod balance;
mod consumers;
mod discovery;
mod document;
mod edits;
mod expectations;
mod forwarding;
mod gate;
mod grpc;
mod health;
mod limits;
mod listen;
mod mirror;
mod overload;
mod policies;
mod process;
mod recorder;
mod redis;
mod rescue;
mod retry;
mod route;
mod scenario;
mod sticky;
mod tls;
mod tracing;
mod traits;
mod upstream;

pub use access_log::{
    AccessLog, FaultSide, LogCondition, LogDestination, LogFormat, LogFormatName, LogQuery, LogSettings,
    LogTemplate, StandardOutput,
};
pub use auth::{
    AnswerCache, ApiKeyAuth, AuthMethod, BasicAuth, CertificateAuth, ExtAuthzAuth, ForwardAuth,
    IfUnreachable, IntrospectionAuth, JwsAlgorithm, JwtAuth, JwtKey, KeyMaterial, NonceRule, OidcAuth,
    SameSite, SessionCookie, SignatureAuth, TokenPlace,
};
pub use balance::{
    Balance, BalanceKey, BalanceKeyWord, BalanceWith, BalanceWord, Maglev, PeakEwma, RingHash,
};
pub use consumers::{
    Consumer, Credential, CredentialIdentity, PasswordCredential, SignatureAlgorithm, SignatureKey,
    SignatureMaterial,
};
pub use discovery::{AddressFamily, Dns, EndpointPlace, Follow, OnEmpty};
pub use document::{Document, Version};
pub use edits::{HeaderEdits, MessageEdits};
pub use expectations::{OnFailedTests, Test, TestCaller, TestExpectation, TestRequest};
pub use forwarding::Forwarding;
pub use gate::Gate;
pub use grpc::{GrpcMatch, GrpcProbe, NameMatch};
pub use health::{
    BodyMatch, Ejection, Expected, FailurePercentageRule, Health, HttpProbe, Probe, Start, SuccessRateRule,
    TcpProbe,
};
pub use limits::{ClientTimeouts, EncodedSlash, Limits, Paths};
pub use listen::{Flows, Listener, Place, StreamDestination, Versions};
pub use mirror::{Compare, ComparedBody, ComparedHeaders, MayDiffer, Mirror};
pub use overload::{
    AdaptiveConcurrency, CircuitBreaker, Concurrency, Overload, Priority, SlowResponses, WaitingQueue,
};
pub use policies::{
    Access, AccessRule, Addresses, Anonymous, Auth, AuthMethods, ConcurrencyLimit, Cors, Csrf,
    EffectiveAccess, EffectivePolicies, Fault, FaultAbort, FaultCondition, FaultDelay, FrameOptions,
    IdentityHeaders, IfStoreDown, KeyPart, KeyWord, LimitFields, LimitKey, LimitStore, LimitUse, Otherwise,
    Policies, Policy, Quota, QuotaPeriod, RateAlgorithm, RateLimit, RateLimits, RedisName, RequestLimits,
    SecurityHeaders, StoreMode,
};
pub use process::{Admin, Forwarded, Shutdown};
pub use recorder::Recorder;
pub use redis::{RedisPlace, RedisSentinel, RedisStore, RedisTls};
pub use rescue::{FailureSet, Fallback, FallbackTo, Hedge, Hold};
pub use retry::{Defaults, EffectiveTimeouts, Retry, RetryBudget, RetryPlan, SharedRetry, Timeouts};
pub use route::{
    Action, Body, Destination, Match, PathMatch, PathRewrite, Presence, Redirect, RedirectStatus, Respond,
    Rewrite, Route, TextMatch, Weight,
};
pub use scenario::{
    ArrivalsWord, DownWord, EndpointModel, LatencyModel, RateStep, Scenario, ScenarioCaller, ScenarioEvent,
};
pub use sticky::{SecureCookie, SessionCarrier, Sticky, StickyCookie};
pub use tls::{
    Acme, CertificateFiles, Challenge, ClientCertificateMode, ClientCertificates, Hsts, HttpProtocol,
    ListenerTls, RedirectHttps, TlsProfile, TlsVersion, UnknownNames, UpstreamTls,
};
pub use tracing::Tracing;
pub use traits::{IfNone, Labels, PreferZone, Share, SlowStart, Target};
pub use upstream::{Endpoint, Pool, Protocol, ProxyHeader, Shares, Upstream};
