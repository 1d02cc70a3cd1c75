//! Our account at the directory: the kept one, or a new one.

use instant_acme::{Account, AccountBuilder, NewAccount};

use crate::failure::Failure;
use crate::http::Client;
use crate::order::judge;
use crate::settings::Settings;
use crate::storage::{KeptAccount, Storage};

/// Opens the kept account, or makes one where there is none.
pub(crate) async fn open(
    settings: &Settings,
    storage: &Storage,
    kept: Option<KeptAccount>,
    client: &Client,
    now: std::time::Duration,
) -> Result<Account, Failure> {
    let failed = |error| Failure { scope: crate::schedule::Scope::Everything, ..judge(client, error, now) };
    let builder: AccountBuilder = Account::builder_with_http(Box::new(client.clone()));
    let contact = settings.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.as_deref().into_iter().collect();
    let email = settings.email.clone();
    let Some(kept) = kept else {
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let made = builder.create(&new, settings.directory.clone(), None).await;
        let (account, credentials) = made.map_err(failed)?;
        keep(storage, &KeptAccount { email, credentials })?;
        return Ok(account);
    };
    // The library takes the credentials apart and does not copy them.
    let copy = serde_json::to_value(&kept.credentials).and_then(serde_json::from_value);
    let copy = copy.map_err(|error| Failure::of_everything(error.to_string()))?;
    let account = builder.from_credentials(copy).await.map_err(failed)?;
    if kept.email != email {
        account.update_contacts(&contact).await.map_err(failed)?;
        keep(storage, &KeptAccount { email, ..kept })?;
    }
    Ok(account)
}

/// An account that cannot be kept would be made anew with each start.
fn keep(storage: &Storage, account: &KeptAccount) -> Result<(), Failure> {
    storage.keep_account(account).map_err(|error| Failure::of_everything(error.to_string()))
}
