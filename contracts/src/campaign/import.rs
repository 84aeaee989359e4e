//! What an import of sites did.

use serde::Serialize;
use utoipa::ToSchema;

use crate::ids::SiteId;

/// What an import of sites did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteImport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One result per row, in their order.
    pub rows: Vec<ImportedRow>,
}

/// What an import did with a row, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportedRow {
    /// The line of the file on which it begins.
    pub line: u64,
    /// The result.
    pub result: ImportResult,
    /// The site.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub site_id: Option<SiteId>,
    /// The column that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

/// The result of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImportResult {
    /// There was no such site.
    Created,
    /// The site was another.
    Updated,
    /// The site was the same.
    Unchanged,
    /// The row is wrong; the others are imported.
    Error,
}
