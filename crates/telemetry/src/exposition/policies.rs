//! What policies decide.

use super::Writer;
use crate::families;

/// What is counted of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyState {
    /// Its name.
    pub policy: String,
    /// The route that has it to itself; empty where several share it.
    pub route: String,
    /// Each outcome with its count.
    pub counts: Vec<(&'static str, u64)>,
}

/// Writes what each policy has decided.
pub fn write_policies(writer: &mut Writer, policies: &[PolicyState]) {
    writer.family(&families::POLICY_DECISIONS);
    for PolicyState { policy, route, counts } in policies {
        for (outcome, count) in counts {
            let labels = [("policy", policy.as_str()), ("route", route.as_str()), ("outcome", *outcome)];
            writer.series(&families::POLICY_DECISIONS, &labels, *count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PolicyState, write_policies};
    use crate::exposition::Writer;

    #[test]
    fn each_outcome_has_its_series() {
        let counts = vec![("passed", 2), ("stopped", 1)];
        let state = PolicyState { policy: "auth keys".to_owned(), route: "api".to_owned(), counts };
        let mut writer = Writer::default();
        write_policies(&mut writer, &[state]);
        let text = writer.finish();
        let line =
            "tollgate_policy_decisions_total{policy=\"auth keys\",route=\"api\",outcome=\"stopped\"} 1";
        assert!(text.lines().any(|written| written == line), "{text}");
    }
}
