//! The tables of the store, and what carries their rows.

/// The tables of the store. Their numbers take part in checksums: a new one comes last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Table {
    /// Facts about the store itself: the format's version, the highest ids.
    Meta,
    /// Queue id → message record.
    Message,
    /// Queue id, part → parcel record.
    Parcel,
    /// Destination, class, time, parcel id → nothing.
    Due,
    /// Queue id, row → up to `BODY_ROW` octets and their checksum.
    Body,
    /// Queue id → nothing: bodies being spooled, to be deleted at start.
    Spool,
    /// Address → its account, or the targets of an alias.
    Address,
    /// Account → its inbox, quota and what it uses.
    Account,
    /// Account, name → mailbox, subscription, special use.
    Folder,
    /// Mailbox → how it stands as a whole.
    Mailbox,
    /// Mailbox, UID divided by `MARKS_UIDS` → which messages are present, unseen, deleted.
    Marks,
    /// Mailbox, UID → entry record.
    Entry,
    /// Mailbox, MODSEQ, UID → nothing for a message that is there, a mark for one that has gone.
    Changed,
    /// Mailbox, UID → entry record of an expunged message that a session may still look at.
    Ghost,
    /// Mailbox, MODSEQ of its expunge, UID → nothing: ghosts in the order in which they go.
    Parting,
    /// Content → references and sizes.
    Held,
    /// Content → what a listing shows of it.
    Summary,
    /// Content, chunk, row → up to `BODY_ROW` octets and their checksum.
    Content,
    /// Content → chunks spooled so far, to be deleted at start.
    Arriving,
    /// Mailbox → nothing: deleted ones whose rows go in steps.
    Doomed,
}

impl Table {
    /// In the order of their values as numbers.
    pub const ALL: [Table; 20] = [
        Table::Meta,
        Table::Message,
        Table::Parcel,
        Table::Due,
        Table::Body,
        Table::Spool,
        Table::Address,
        Table::Account,
        Table::Folder,
        Table::Mailbox,
        Table::Marks,
        Table::Entry,
        Table::Changed,
        Table::Ghost,
        Table::Parting,
        Table::Held,
        Table::Summary,
        Table::Content,
        Table::Arriving,
        Table::Doomed,
    ];

    /// The name it has on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Message => "message",
            Table::Parcel => "parcel",
            Table::Due => "due",
            Table::Body => "body",
            Table::Spool => "spool",
            Table::Address => "address",
            Table::Account => "account",
            Table::Folder => "folder",
            Table::Mailbox => "mailbox",
            Table::Marks => "marks",
            Table::Entry => "entry",
            Table::Changed => "changed",
            Table::Ghost => "ghost",
            Table::Parting => "parting",
            Table::Held => "held",
            Table::Summary => "summary",
            Table::Content => "content",
            Table::Arriving => "arriving",
            Table::Doomed => "doomed",
        }
    }
}

/// What rows are read from: one snapshot of LMDB in the shell, a map in a test or simulation.
pub trait Reads {
    type Error;

    /// The value of one row.
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Self::Error>;

    /// The key of the first row at or behind `from`.
    fn key_from(&self, table: Table, from: &[u8]) -> Result<Option<&[u8]>, Self::Error>;

    /// Shows the rows at and behind `from` in their order, until `visit` wants no more.
    fn walk(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Self::Error>;
}

/// What carries rows: LMDB in the shell, a map in a test or simulation. What it reads has this
/// transaction's own changes in it.
pub trait Rows: Reads {
    /// Puts one row whose value is the concatenation of `value`.
    fn put(&mut self, table: Table, key: &[u8], value: &[&[u8]]) -> Result<(), Self::Error>;

    /// Deletes one row; it may be absent.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Self::Error>;

    /// Deletes every row whose key starts with `prefix`.
    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), Self::Error>;

    /// Whether any row's key starts with `prefix`.
    fn any_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<bool, Self::Error>;
}
