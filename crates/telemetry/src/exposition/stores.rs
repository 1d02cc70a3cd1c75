//! The stores that instances share.

use super::Writer;
use crate::families;

/// Writes of each store, by its name in the document, whether it can be asked.
pub fn write_stores(writer: &mut Writer, stores: &[(String, bool)]) {
    writer.family(&families::STORE_UP);
    for (name, is_up) in stores {
        writer.series(&families::STORE_UP, &[("store", name.as_str())], u8::from(*is_up));
    }
}

#[cfg(test)]
mod tests {
    use super::write_stores;
    use crate::exposition::Writer;

    #[test]
    fn each_store_has_its_series() {
        let mut writer = Writer::default();
        write_stores(&mut writer, &[("a".to_owned(), true), ("b".to_owned(), false)]);
        let text = writer.finish();
        for line in ["tollgate_limit_store_up{store=\"a\"} 1", "tollgate_limit_store_up{store=\"b\"} 0"] {
            assert!(text.lines().any(|written| written == line), "{line} is not in:\n{text}");
        }
    }
}
