//! Ledgers of finished runs.

use truepair_core::ledger::Ledger;

pub(crate) fn ledger(data: &[u8]) {
    let Ok(ledger) = Ledger::from_bytes(data, "ledger.bin") else {
        return;
    };
    let bytes = ledger.to_bytes();
    let again = Ledger::from_bytes(&bytes, "ledger.bin").expect("a ledger that was just written");
    assert_eq!(again.len(), ledger.len());
    assert_eq!(again.to_bytes(), bytes);
    assert!(again.own_columns().eq(ledger.own_columns()));
}
