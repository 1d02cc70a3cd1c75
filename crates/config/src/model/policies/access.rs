//! What callers may do.

use crate::section::{choice, section, words};
use crate::setting::Many;
use crate::source::Located;
use crate::table::Table;
use crate::units::{ClaimPath, ClaimValue, ExpressionText, Name, ScopeName};

section! {
    /// What callers may do.
    pub struct Access {
        /// Who may pass: one of these must hold.
        allow: Many<Located<AccessRule>> = default(Many::none());
        /// Who may not, whatever `allow` says: none of these may hold.
        deny: Many<Located<AccessRule>> = default(Many::none());
        /// What becomes of those that no rule is about; `deny` where there are `allow` rules, else `allow`.
        otherwise: Option<Located<Otherwise>> = optional;
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}

choice! {
    /// A rule about the caller or the request.
    pub enum AccessRule {
        /// The consumer is in this group, or in one of them.
        Group("group"): Many<Located<Name>>;
        /// The consumer is this one, or one of them.
        Consumer("consumer"): Many<Located<Name>>;
        /// The token has this scope, or one of them.
        Scope("scope"): Many<Located<ScopeName>>;
        /// Each of these claims has this value or one of them; of a claim that is a list, an entry.
        Claim("claim"): Table<ClaimPath, Many<ClaimValue>>;
        /// An expression is true.
        If("if"): Box<Located<ExpressionText>>;
    }
}

words! {
    /// What becomes of those that no rule is about.
    pub enum Otherwise {
        /// They pass.
        Allow = "allow";
        /// They are refused.
        Deny = "deny";
    }
}

impl Access {
    /// What becomes of those that no rule is about.
    pub fn otherwise(&self) -> Otherwise {
        match &self.otherwise {
            Some(otherwise) => otherwise.value,
            None if self.allow.is_empty() => Otherwise::Allow,
            None => Otherwise::Deny,
        }
    }
}
