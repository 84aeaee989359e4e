//! Which sites are near.

use std::collections::BTreeMap;

use contracts::{
    campaign::{GeoPosition, LocalizedName},
    ids::SiteId,
};

use super::{distance::distance_metres, free::Offer};

/// The sites that are looked at, the nearest ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The position that distances are measured from.
    pub centre: GeoPosition,
    /// The greatest distance.
    pub metres_max: u32,
    /// The greatest number of sites.
    pub sites_max: usize,
    /// A site that is not looked at.
    pub without: Option<SiteId>,
}

/// A site on the map, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocatedSite {
    /// The site.
    pub id: SiteId,
    /// Where it is on the map.
    pub position: GeoPosition,
    /// How far it is.
    pub metres: u32,
}

/// A site that is near, and what open campaigns have there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearOffers {
    /// The site.
    pub site: LocatedSite,
    /// Its name.
    pub name: LocalizedName,
    /// What can be booked there, if it is free.
    pub offers: Vec<Offer>,
}

impl Surroundings {
    /// Those of the sites that are looked at, the nearest first.
    pub fn nearest(&self, positions: &BTreeMap<SiteId, GeoPosition>) -> Vec<LocatedSite> {
        let others = positions.iter().filter(|(id, _)| Some(**id) != self.without);
        let located = others.map(|(id, position)| LocatedSite {
            id: *id,
            position: *position,
            metres: distance_metres(self.centre, *position),
        });
        let mut sites: Vec<_> = located.filter(|site| site.metres <= self.metres_max).collect();
        sites.sort_unstable_by_key(|site| (site.metres, site.id));
        sites.truncate(self.sites_max);
        sites
    }
}
