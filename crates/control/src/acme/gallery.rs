//! The certificates of all listeners, as far as they are from ACME.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tollgate_acme::{ChallengeCertificate, ChallengeCertificates};
use tollgate_tls::{Certificate, Problem};

use crate::compile::acceptors::{CertificateSet, acme_id};

/// Hands certificates to all listeners that want them: those in force, and those of a document that is about to be.
#[derive(Debug, Default)]
pub struct Gallery(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    /// Whoever makes a document forgets its sets with it.
    sets: Vec<Weak<CertificateSet>>,
    /// What there is, by name.
    certificates: HashMap<String, Certificate>,
    /// What answers challenges now, by name.
    challenges: HashMap<String, Certificate>,
}

impl Gallery {
    /// These sets get what they want from now on, and at once what there is.
    pub fn offer(&self, sets: &[Arc<CertificateSet>]) {
        let mut shown = self.shown();
        shown.sets.retain(|known| known.strong_count() > 0);
        for set in sets {
            let is_known = shown.sets.iter().any(|known| known.as_ptr() == Arc::as_ptr(set));
            if is_known {
                continue;
            }
            let there = set.plan.acme.iter().filter_map(|name| shown.certificates.get(name));
            there.for_each(|certificate| set.certificates.put(certificate.clone()));
            for (name, certificate) in &shown.challenges {
                set.certificates.put_challenge(name, certificate);
            }
            shown.sets.push(Arc::downgrade(set));
        }
    }

    /// Puts a certificate into all sets that want its name.
    ///
    /// # Errors
    ///
    /// Where it cannot be used.
    pub fn install(&self, name: &str, pem: &[u8]) -> Result<(), Problem> {
        let certificate = Certificate::from_pem(acme_id(name), pem, pem)?;
        let mut shown = self.shown();
        for set in shown.sets().filter(|set| set.plan.acme.iter().any(|wanted| wanted == name)) {
            set.certificates.put(certificate.clone());
        }
        shown.certificates.insert(name.to_owned(), certificate);
        Ok(())
    }

    /// Forgets the certificates for other names.
    pub fn keep_only(&self, names: &[String]) {
        self.shown().certificates.retain(|name, _| names.contains(name));
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn sets(&self) -> impl Iterator<Item = Arc<CertificateSet>> + '_ {
        self.sets.iter().filter_map(Weak::upgrade)
    }
}

/// Each set answers, whether it wants the name or not: the authority asks on port 443, and the listener there may be
/// another than the one that the certificate is for.
impl ChallengeCertificates for Gallery {
    fn install(&self, name: &str, certificate: ChallengeCertificate) -> Result<(), String> {
        let pem = certificate.pem.as_bytes();
        let certificate = Certificate::from_pem(format!("challenge:{name}"), pem, pem);
        let certificate = certificate.map_err(|problem| problem.to_string())?;
        let mut shown = self.shown();
        shown.sets().for_each(|set| set.certificates.put_challenge(name, &certificate));
        shown.challenges.insert(name.to_owned(), certificate);
        Ok(())
    }

    fn remove(&self, name: &str) {
        let mut shown = self.shown();
        shown.challenges.remove(name);
        for set in shown.sets() {
            set.certificates.remove_challenge(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use tollgate_tls::Certificates;

    use super::Gallery;
    use crate::compile::acceptors::{CertificateSet, SetPlan};

    fn set(names: &[&str]) -> Arc<CertificateSet> {
        let plan = SetPlan {
            files: Vec::new(),
            acme: names.iter().map(|name| (*name).to_owned()).collect(),
            ocsp: false,
        };
        Arc::new(CertificateSet { plan, certificates: Arc::new(Certificates::new(Vec::new())) })
    }

    fn pem(name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        format!("{}{}", key.serialize_pem(), certificate.pem())
    }

    fn serials(set: &CertificateSet) -> Vec<String> {
        set.certificates.describe().into_iter().map(|described| described.serial).collect()
    }

    #[test]
    fn sets_have_what_they_want_whichever_comes_first() {
        let gallery = Gallery::default();
        let (both, other) = (set(&["a.example", "b.example"]), set(&["b.example"]));
        gallery.offer(&[both.clone(), other.clone()]);
        gallery.install("a.example", pem("a.example").as_bytes()).unwrap();
        assert!(both.certificates.covers("a.example") && !other.certificates.covers("a.example"));
        gallery.install("b.example", pem("b.example").as_bytes()).unwrap();
        assert_eq!((serials(&both).len(), serials(&other).len()), (2, 1));
        // A renewed one takes the place of the one before, also in what comes later.
        gallery.install("b.example", pem("b.example").as_bytes()).unwrap();
        let late = set(&["b.example"]);
        gallery.offer(&[both.clone(), late.clone()]);
        assert_eq!(serials(&both)[1..], serials(&late)[..]);
        assert_eq!(serials(&other), serials(&late));
        assert!(gallery.install("b.example", b"nothing").is_err());
        gallery.keep_only(&["a.example".to_owned()]);
        let later = set(&["a.example", "b.example"]);
        gallery.offer(std::slice::from_ref(&later));
        assert_eq!(serials(&later), serials(&both)[..1]);
    }

    #[test]
    fn challenges_are_shown_by_all_sets_also_by_those_that_come_meanwhile() {
        let (gallery, early, late) = (Gallery::default(), set(&["a.example"]), set(&[]));
        gallery.offer(std::slice::from_ref(&early));
        let certificate = tollgate_acme::ChallengeCertificate { pem: pem("b.example") };
        tollgate_acme::ChallengeCertificates::install(&gallery, "b.example", certificate).unwrap();
        gallery.offer(&[early.clone(), late.clone()]);
        for set in [&early, &late] {
            assert!(set.certificates.remove_challenge("b.example"));
            assert_eq!(set.certificates.all().len(), 0);
        }
        gallery.offer(std::slice::from_ref(&set(&[])));
        tollgate_acme::ChallengeCertificates::remove(&gallery, "b.example");
        let last = set(&[]);
        gallery.offer(std::slice::from_ref(&last));
        assert!(!last.certificates.remove_challenge("b.example"));
    }
}
