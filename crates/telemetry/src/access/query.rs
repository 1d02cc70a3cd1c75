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

#[cfg(test)]
mod tests {
    use super::QueryRule;

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
