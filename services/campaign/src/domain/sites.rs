//! The decisions about sites.

use contracts::{
    campaign::ExternalIdentifier,
    ids::{CampaignId, SiteId},
};

use super::{
    aggregate::Campaigns,
    records::{
        ChangeException, ChangeSite, ChangedSite, CreateSite, ImportKey, ImportSite, ImportedSite,
        PlannedRevisions, Refusal, RemoveSite, SiteRecord,
    },
    values::CheckedSite,
};

impl Campaigns {
    pub(super) fn create_site(&mut self, create: &CreateSite) -> Result<ChangedSite, Refusal> {
        let CreateSite { site, at } = create;
        self.check_identifiers(None, site)?;
        self.last.site += 1;
        let id = SiteId(self.last.site);
        let record = SiteRecord { site: site.clone(), revision: 1, place_since: *at };
        self.name(id, &[], &site.details().identifiers);
        self.sites.insert(id, record.clone());
        Ok(ChangedSite { id, record, is_new_place: true, days: Vec::new() })
    }

    /// The slots are planned again afterwards, site by site.
    pub(super) fn change_site(&mut self, change: &ChangeSite) -> Result<ChangedSite, Refusal> {
        let ChangeSite { id, site, expected, at } = change;
        let known = self.expect_site(*id, *expected)?.clone();
        self.check_identifiers(Some(*id), site)?;
        if known.site.zone() != site.zone() {
            let campaigns = self.active_campaigns(*id);
            if !campaigns.is_empty() {
                return Err(Refusal::ZoneInUse(campaigns));
            }
        }
        if known.site == *site {
            return Ok(unchanged(*id, known));
        }
        self.name(*id, &known.site.details().identifiers, &site.details().identifiers);
        let is_new_place = known.site.place() != site.place();
        let place_since = if is_new_place { known.place_since.max(*at) } else { known.place_since };
        let record = SiteRecord { site: site.clone(), revision: known.revision + 1, place_since };
        self.sites.insert(*id, record.clone());
        Ok(ChangedSite { id: *id, record, is_new_place, days: Vec::new() })
    }

    /// What was planned for the site as it was before is then planned for the site as it is now.
    pub(super) fn change_exception(
        &mut self,
        change: &ChangeException,
    ) -> Result<ChangedSite, Refusal> {
        let ChangeException { id, date, exception, expected, at } = change;
        let known = self.expect_site(*id, *expected)?.clone();
        let site = known.site.with_exception(*date, exception.clone());
        let site = site.map_err(Refusal::Invalid)?;
        if known.site == site {
            return Ok(unchanged(*id, known));
        }
        let record = SiteRecord { site, revision: known.revision + 1, ..known };
        self.sites.insert(*id, record.clone());
        let mut days = Vec::new();
        for campaign in self.active_campaigns(*id) {
            days.extend(self.plan_day(campaign, *id, *date, *at));
            let Some(revision) = self.campaigns.get(&campaign).map(|known| known.revision) else {
                continue;
            };
            let before = PlannedRevisions { site: known.revision, campaign: revision };
            if let Some(member) = self.members.get_mut(&(campaign, *id))
                && member.planned == Some(before)
            {
                member.planned = Some(PlannedRevisions { site: record.revision, ..before });
            }
        }
        Ok(ChangedSite { id: *id, record, is_new_place: false, days })
    }

    pub(super) fn remove_site(&mut self, remove: RemoveSite) -> Result<(), Refusal> {
        let RemoveSite { id, expected } = remove;
        let known = self.expect_site(id, expected)?.clone();
        let campaigns: Vec<_> = self.campaigns_of(id).collect();
        if !campaigns.is_empty() {
            return Err(Refusal::InCampaigns(campaigns));
        }
        self.name(id, &known.site.details().identifiers, &[]);
        self.sites.remove(&id);
        Ok(())
    }

    pub(super) fn import_site(&mut self, import: &ImportSite) -> Result<ImportedSite, Refusal> {
        let ImportSite { key, site, at } = import;
        let id = match key {
            ImportKey::Identifier(identifier) => self.identifiers.get(identifier).copied(),
            ImportKey::Number(id) => Some(*id),
        };
        let Some(id) = id else {
            let create = CreateSite { site: site.clone(), at: *at };
            return self.create_site(&create).map(ImportedSite::Created);
        };
        let known = self.expect_site(id, None)?.clone();
        let mut details = site.details().clone();
        details.identifiers.clone_from(&known.site.details().identifiers);
        details.exceptions.clone_from(&known.site.details().exceptions);
        let site = CheckedSite::parse(details).map_err(Refusal::Invalid)?;
        let changed = self.change_site(&ChangeSite { id, site, expected: None, at: *at })?;
        let is_same = changed.record.revision == known.revision;
        Ok(if is_same { ImportedSite::Unchanged(id) } else { ImportedSite::Updated(changed) })
    }

    /// A site, if it is still as its caller has seen it.
    fn expect_site(&self, id: SiteId, expected: Option<i64>) -> Result<&SiteRecord, Refusal> {
        let known = self.sites.get(&id).ok_or(Refusal::NoSuchSite)?;
        if expected.is_some_and(|revision| revision != known.revision) {
            return Err(Refusal::Stale);
        }
        Ok(known)
    }

    fn check_identifiers(&self, id: Option<SiteId>, site: &CheckedSite) -> Result<(), Refusal> {
        for identifier in &site.details().identifiers {
            let owner = self.identifiers.get(identifier);
            if let Some(owner) = owner.filter(|owner| Some(**owner) != id) {
                let (identifier, site) = (identifier.clone(), *owner);
                return Err(Refusal::IdentifierTaken { identifier, site });
            }
        }
        Ok(())
    }

    fn name(&mut self, id: SiteId, before: &[ExternalIdentifier], after: &[ExternalIdentifier]) {
        for identifier in before.iter().filter(|identifier| !after.contains(identifier)) {
            self.identifiers.remove(identifier);
        }
        for identifier in after.iter().filter(|identifier| !before.contains(identifier)) {
            self.identifiers.insert(identifier.clone(), id);
        }
    }

    /// The campaigns at a site that have slots which are kept up to date.
    fn active_campaigns(&self, id: SiteId) -> Vec<CampaignId> {
        self.campaigns_of(id).filter(|campaign| self.is_active(*campaign)).collect()
    }

    fn campaigns_of(&self, id: SiteId) -> impl Iterator<Item = CampaignId> {
        let members = self.members.iter().filter(move |((_, site), _)| *site == id);
        members.map(|((campaign, _), _)| *campaign)
    }
}

fn unchanged(id: SiteId, record: SiteRecord) -> ChangedSite {
    ChangedSite { id, record, is_new_place: false, days: Vec::new() }
}
