//! The audit: the rows on disk against what the oracle knows, after every crash and at the end.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;

use super::{Checked, Oracle, broken, letter::Filed};
use crate::{
    disk::Disk,
    limits::{BODY_ROW, CHECKSUM},
    mail::{ParcelId, QueueId, Ret},
    store::{Table, key, record},
};

impl Oracle {
    /// Every row belongs to a message that is queued, each has all of its rows, all can be read.
    pub fn audit(&self, disk: &Disk) -> Checked {
        self.boxes.audit(disk)?;
        let on_disk: BTreeSet<QueueId> =
            disk.keys(Table::Message).filter_map(key::read_message).collect();
        if on_disk != self.queued {
            let (more, less) = (&on_disk - &self.queued, &self.queued - &on_disk);
            return broken(format!("messages on disk: too many {more:?}, missing {less:?}"));
        }
        let mut rows = (0, 0);
        for id in &on_disk {
            let (parcels, bodies) = self.audit_message(*id, disk)?;
            rows = (rows.0 + parcels, rows.1 + bodies);
        }
        let spooled: BTreeSet<QueueId> =
            disk.keys(Table::Spool).filter_map(key::read_message).collect();
        let strays = disk
            .keys(Table::Body)
            .filter(|row| key::read_message(&row[..8]).is_some_and(|id| spooled.contains(&id)));
        let bodies = disk.keys(Table::Body).count() - strays.count();
        let counts = (disk.keys(Table::Parcel).count(), disk.keys(Table::Due).count(), bodies);
        if counts != (rows.0, rows.0, rows.1) {
            return broken(format!(
                "parcels, due entries and body rows on disk {counts:?}, expected {rows:?}"
            ));
        }
        Ok(())
    }

    fn audit_message(&self, id: QueueId, disk: &Disk) -> Result<(usize, usize), super::Broken> {
        let fault = |what: String| super::Broken(format!("{id} on disk: {what}"));
        let letter = self.letters.get(&id).ok_or_else(|| fault("unknown".into()))?;
        let row = disk.row_of(Table::Message, &key::message(id)).unwrap_or_default();
        let message = record::decode_message(id, Bytes::copy_from_slice(row))
            .map_err(|error| fault(error.to_string()))?;
        let envelope = &message.envelope;
        let ret = envelope.ret.map(|ret| ret == Ret::Full);
        let sender = envelope.reverse_path.as_ref().map(|path| path.as_str());
        if (sender, ret, message.arrived) != (letter.sender.as_deref(), letter.full, letter.arrived)
        {
            return Err(fault(format!("its record says {message:?}")));
        }
        let message = Arc::new(message);
        for (&part, filed) in &letter.parcels {
            let name = ParcelId { message: id, part };
            let row = disk.row_of(Table::Parcel, &key::parcel(name)).unwrap_or_default();
            let parcel = record::decode_parcel(&message, part, Bytes::copy_from_slice(row))
                .map_err(|error| fault(format!("parcel {part}: {error}")))?;
            if Filed::of(&parcel) != (Filed { settling: None, ..filed.clone() }) {
                return Err(fault(format!("parcel {part} is {parcel:?}, expected {filed:?}")));
            }
            if disk.row_of(Table::Due, &key::due(&filed.due, name)).is_none() {
                return Err(fault(format!("parcel {part} is not in the due index")));
            }
        }
        let octets: usize = disk.body_rows(id).map(|row| row.len() - CHECKSUM).sum();
        if octets as u64 != message.size {
            return Err(fault(format!("{octets} octets of body, expected {}", message.size)));
        }
        Ok((letter.parcels.len(), (message.size as usize).div_ceil(BODY_ROW)))
    }
}
