//! docs/reasons.md is made from the catalogue.

use std::fmt::Write;

use tollgate_decision::Reason;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reasons.md");

fn page() -> String {
    let mut page = String::from(
        "# Reasons\n\
         \n\
         Every answer that Tollgate makes itself, and every way an exchange can end, has a reason from this catalogue. Its code is\n\
         stable. It stands in the answer (`reason` of the problem document, `details` of `Proxy-Status`), in the access log\n\
         (`reason`), in the metrics (`tollgate_exchanges_total`) and in what `tollgate explain` prints.\n\
         \n\
         `side` is who is at fault, and `Proxy-Status` the error type of RFC 9209. Where there is no status, no answer could be given any more.\n\
         \n\
         This page is made from the code: `TOLLGATE_GOLDEN=write cargo test -p tollgate-decision`.\n\
         \n\
         | reason | status | side | `Proxy-Status` | what happened |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let status = match reason.status() {
            0 => String::new(),
            status => status.to_string(),
        };
        let (code, side, error) = (reason.code(), reason.side().label(), reason.proxy_status_error());
        writeln!(page, "| `{code}` | {status} | {side} | {error} | {} |", reason.explanation()).unwrap();
    }
    page
}

#[test]
fn the_page_of_reasons_is_current() {
    if std::env::var_os("TOLLGATE_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(PATH, page()).unwrap();
    }
    let kept = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        kept == page(),
        "docs/reasons.md is not what the catalogue says; see the page for how to write it anew"
    );
}
