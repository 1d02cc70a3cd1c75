//! What a log shows of a query, which may hold secrets.

/// What a log shows of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryRule {
    /// Nothing.
    #[default]
    Hide,
    /// The parameters' names, with `***` for their values.
    Names,
    /// All of it.
    Keep,
}

/// What stands for something that is not shown.
pub(super) const HIDDEN: &[u8] = b"***";

impl QueryRule {
    /// Gives the shown parts of a query, without its `?`. Nothing is given where it is hidden.
    pub(super) fn show(self, query: &[u8], mut give: impl FnMut(&[u8])) {
        match self {
            Self::Hide => {}
            Self::Keep => give(query),
            Self::Names => {
                for (number, parameter) in query.split(|byte| *byte == b'&').enumerate() {
                    if number > 0 {
                        give(b"&");
                    }
                    let name_end = parameter.iter().position(|byte| *byte == b'=');
                    match name_end {
                        // Without a name it may be a value.
                        None if !parameter.is_empty() => give(HIDDEN),
                        None => {}
                        Some(end) => {
                            give(&parameter[..=end]);
                            give(HIDDEN);
                        }
                    }
                }
            }
        }
    }

    /// Gives the shown parts of a URL: its query by this rule, its fragment only where all is kept.
    pub(super) fn show_url(self, url: &[u8], mut give: impl FnMut(&[u8])) {
        // A password is no part of a query: it is not shown, whatever the rule.
        let url = match around_user(url) {
            Some((before, after)) => {
                give(before);
                give(HIDDEN);
                after
            }
            None => url,
        };
        if self == Self::Keep {
            return give(url);
        }
        let without_fragment = url.split(|byte| *byte == b'#').next().unwrap_or_default();
        let Some(mark) = without_fragment.iter().position(|byte| *byte == b'?') else {
            return give(without_fragment);
        };
        give(&without_fragment[..mark]);
        if self == Self::Names {
            give(b"?");
            self.show(&without_fragment[mark + 1..], give);
        }
    }
}

/// What stands before and behind the user information of a URL or an authority (RFC 3986 section 3.2.1), which
/// may hold a password; `None` where there is none.
pub fn around_user(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let ends = |byte: &u8| b"/?#".contains(byte);
    let start = match url.iter().position(ends) {
        Some(0) if !url.starts_with(b"//") => return None,
        Some(at) if url[at..].starts_with(b"//") && (at == 0 || url[at - 1] == b':') => at + 2,
        _ => 0,
    };
    let authority = url[start..].split(ends).next().unwrap_or_default();
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    Some((&url[..start], &url[start + at..]))
}

#[cfg(test)]
mod tests {
    use super::{QueryRule, around_user};

    #[test]
    fn passwords_in_urls_are_not_shown() {
        for (url, before, after) in [
            ("http://joe:s3cret@a/b", "http://", "@a/b"),
            ("http://joe:s3@cret@a", "http://", "@a"),
            ("//joe:s3cret@a/b@c", "//", "@a/b@c"),
            ("joe:s3cret@a:80", "", "@a:80"),
            ("joe@a?b@c", "", "@a?b@c"),
        ] {
            assert_eq!(around_user(url.as_bytes()), Some((before.as_bytes(), after.as_bytes())), "{url}");
            for rule in [QueryRule::Hide, QueryRule::Names, QueryRule::Keep] {
                let mut out = Vec::new();
                rule.show_url(url.as_bytes(), |part| out.extend_from_slice(part));
                let shown = String::from_utf8(out).unwrap();
                assert!(shown.starts_with(&format!("{before}***@a")), "{shown}");
            }
        }
        for url in
            ["", "/", "/a@b", "/a://b@c", "http://a/b@c", "?a@b", "a/b://c@d", "*", "//", "http://a?b@c"]
        {
            assert_eq!(around_user(url.as_bytes()), None, "{url}");
        }
    }

    #[test]
    fn values_are_shown_only_where_all_is_kept() {
        let url = "http://a/p?user=u&token=s3cret&flag&=x&&y=#s3cret";
        for (rule, shown) in [
            (QueryRule::Hide, "http://a/p"),
            (QueryRule::Names, "http://a/p?user=***&token=***&***&=***&&y=***"),
            (QueryRule::Keep, url),
        ] {
            let mut out = Vec::new();
            rule.show_url(url.as_bytes(), |part| out.extend_from_slice(part));
            assert_eq!(String::from_utf8(out).unwrap(), shown);
        }
        let mut out = Vec::new();
        QueryRule::Hide.show(b"token=s3cret", |part| out.extend_from_slice(part));
        assert!(out.is_empty());
    }
}
