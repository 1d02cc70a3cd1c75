//! Changes of header fields.

use crate::section::section;
use crate::setting::Many;
use crate::source::Located;
use crate::table::Table;
use crate::units::{EditValue, HeaderName};

section! {
    /// Changes of header fields on the way. A name may be in one of `set`, `add` and `remove` only.
    pub struct HeaderEdits {
        /// On the way to the upstream.
        request: MessageEdits = section;
        /// On the way to the client.
        response: MessageEdits = section;
    }
}

section! {
    /// Changes of the header fields of one message.
    pub struct MessageEdits {
        /// Replaces all fields of the name by one.
        set: Table<HeaderName, EditValue> = default(Table::none());
        /// Adds a field beside those of the name that are there.
        add: Table<HeaderName, EditValue> = default(Table::none());
        /// Removes all fields of the name.
        remove: Many<Located<HeaderName>> = default(Many::none());
    }
}
