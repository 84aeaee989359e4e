//! What the demo offers: vaccines, lots and campaigns of a fictional city. Its sites are in `sites.csv`.

/// A vaccine of the demo.
pub(super) struct SampleVaccine {
    pub(super) name: &'static str,
    /// Doses of the central stock.
    pub(super) stock: i64,
    /// As in the list of the CDC.
    pub(super) cvx: u32,
    pub(super) min_age_months: u32,
    /// Days until the second dose, at least and at most; none where one dose is enough.
    pub(super) next_dose: Option<(u16, u16)>,
}

/// A campaign of the demo; it begins tomorrow.
pub(super) struct SampleCampaign {
    pub(super) name_ko: &'static str,
    pub(super) name_en: &'static str,
    /// Ids of [`VACCINES`].
    pub(super) vaccines: &'static [i64],
    /// Ids of [`SITES`].
    pub(super) sites: &'static [i64],
    pub(super) days: i32,
    pub(super) slot_minutes: u16,
    /// People in each slot.
    pub(super) capacity: u32,
    /// `CENTRAL` or `SITE_LOTS`.
    pub(super) doses: &'static str,
}

/// A lot that each site of the campaign with lots has.
pub(super) struct SampleLot {
    pub(super) number: &'static str,
    /// It expires so many days after the first day of the campaigns.
    pub(super) expires_after_days: i32,
    pub(super) doses: i64,
}

/// The vaccines; their ids follow from their order.
pub(super) const VACCINES: [SampleVaccine; 3] = [
    SampleVaccine {
        name: "FIZER",
        stock: 1_000_000,
        cvx: 208,
        min_age_months: 144,
        next_dose: Some((21, 42)),
    },
    SampleVaccine {
        name: "MODERNA",
        stock: 500_000,
        cvx: 207,
        min_age_months: 216,
        next_dose: Some((28, 56)),
    },
    SampleVaccine { name: "NOVAVAX", stock: 100, cvx: 211, min_age_months: 144, next_dose: None },
];

/// The sites, as they are imported; their ids follow from their order. The first is open every day.
pub(super) const SITES: &str = include_str!("sites.csv");

/// The campaign in which both doses of a series fit.
pub(super) const SERIES: SampleCampaign = SampleCampaign {
    name_ko: "새빛시 기초접종",
    name_en: "Saebit primary series",
    vaccines: &[1, 2],
    sites: &[1, 2, 3, 4],
    days: 70,
    slot_minutes: 30,
    capacity: 12,
    doses: "CENTRAL",
};

/// The campaign whose doses are those of [`LOTS`].
pub(super) const BOOSTER: SampleCampaign = SampleCampaign {
    name_ko: "새빛시 추가접종",
    name_en: "Saebit booster",
    vaccines: &[3],
    sites: &[1, 5, 6, 7, 8, 9, 10, 11, 12],
    days: 14,
    slot_minutes: 30,
    capacity: 4,
    doses: "SITE_LOTS",
};

/// The campaigns; their ids follow from their order.
pub(super) const CAMPAIGNS: [&SampleCampaign; 2] = [&SERIES, &BOOSTER];

/// Fewer doses than places, and the first of them expire within the second week.
pub(super) const LOTS: [SampleLot; 2] = [
    SampleLot { number: "NV-2207", expires_after_days: 9, doses: 120 },
    SampleLot { number: "NV-2231", expires_after_days: 180, doses: 200 },
];
