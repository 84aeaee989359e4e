//! Product rules as rows.

use std::collections::BTreeSet;

use contracts::{ids::VaccineId, vaccine::product::Product};
use platform_store::{ChangeSet, Row, RowChange, SqlError, Tx};

use crate::domain::Ledger;

const LOAD_PRODUCT: &str = "
    SELECT vaccine, product
      FROM products
     WHERE vaccine = ?1";

const INSERT_PRODUCT: &str = "
    INSERT INTO products (vaccine, product)
         VALUES (?1, ?2)";

const UPDATE_PRODUCT: &str = "
    UPDATE products
       SET product = ?2
     WHERE vaccine = ?1";

const DELETE_PRODUCT: &str = "
    DELETE FROM products
     WHERE vaccine = ?1";

/// Loads those of these vaccines.
pub(super) fn load(
    tx: &Tx<'_>,
    ledger: &mut Ledger,
    ids: &BTreeSet<VaccineId>,
) -> Result<(), SqlError> {
    let keys: Vec<_> = ids.iter().map(|id| [id.0.into()]).collect();
    for (id, product) in tx.find_each(LOAD_PRODUCT, &keys, product)?.into_iter().flatten() {
        ledger.products.load(id, product);
    }
    Ok(())
}

/// Those of one vaccine.
pub(super) fn of(tx: &Tx<'_>, id: VaccineId) -> Result<Option<Product>, SqlError> {
    Ok(tx.find(LOAD_PRODUCT, &[id.0.into()], product)?.map(|(_, product)| product))
}

fn product(row: &Row<'_>) -> Result<(VaccineId, Product), SqlError> {
    let invalid = |_| SqlError::Decode { column: 1, expected: "product rules" };
    Ok((VaccineId(row.int(0)?), serde_json::from_str(row.text(1)?).map_err(invalid)?))
}

/// Saves those that were changed.
pub(super) fn save(tx: &Tx<'_>, products: &ChangeSet<VaccineId, Product>) -> Result<(), SqlError> {
    for (id, product, change) in products.changes() {
        let product = serde_json::to_string(product)?;
        let (id, product) = (id.0.into(), product.as_str().into());
        match change {
            RowChange::Inserted => tx.execute(INSERT_PRODUCT, &[id, product])?,
            RowChange::Updated => tx.execute(UPDATE_PRODUCT, &[id, product])?,
            RowChange::Deleted => tx.execute(DELETE_PRODUCT, &[id])?,
        }
    }
    Ok(())
}
