//! Configuration templates: `{{name}}` stands for a value. Each name must be known and each value used.

use anyhow::{Result, bail, ensure};

/// Fills a template. A value that is empty leaves an empty place. It is an error when the template names
/// something that is not among `values`, or does not use one of them.
pub(crate) fn render(template: &str, values: &[(&str, String)]) -> Result<String> {
    let mut out = String::with_capacity(template.len());
    let mut used = vec![false; values.len()];
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((name, after)) = behind.split_once("}}") else { bail!("a `{{{{` is never closed") };
        let Some(index) = values.iter().position(|(known, _)| *known == name) else {
            bail!("the template asks for `{name}`, which nobody sets");
        };
        out.push_str(before);
        out.push_str(&values[index].1);
        used[index] = true;
        rest = after;
    }
    out.push_str(rest);
    for ((name, _), used) in values.iter().zip(used) {
        ensure!(used, "the template has no place for `{name}`");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn values_are_put_in_place() {
        let values = [("a", "1".to_owned()), ("b", String::new())];
        assert_eq!(render("x {{a}}{{b}} y {{a}} {z}", &values).expect("fits"), "x 1 y 1 {z}");
    }

    #[test]
    fn a_name_or_value_too_many_is_an_error() {
        assert!(render("{{a}}", &[]).is_err());
        assert!(render("{{a", &[("a", String::new())]).is_err());
        assert!(render("", &[("a", String::new())]).is_err());
    }
}
