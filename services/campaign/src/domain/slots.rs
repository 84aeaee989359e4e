//! The decisions about slots.

use contracts::ids::{CampaignId, SiteId};
use jiff::{Timestamp, ToSpan, civil::Date};

use super::{
    aggregate::{Campaigns, SLOTS_PLANNED_MAX},
    plan::{plan, renumber},
    records::{DayKey, PlanSite, PlannedDays, PlannedRevisions, SlotDayRecord},
};

impl Campaigns {
    /// Of a campaign or a site that is not there any more, or has no slots, there is nothing to plan.
    pub(super) fn plan_site(&mut self, PlanSite { campaign, site, at }: PlanSite) -> PlannedDays {
        let mut planned = PlannedDays::default();
        let (Some(known), Some(of_site)) = (self.campaigns.get(&campaign), self.sites.get(&site))
        else {
            return planned;
        };
        let revisions = PlannedRevisions { site: of_site.revision, campaign: known.revision };
        let is_planned = |of: Option<PlannedRevisions>| of == Some(revisions);
        let member = self.members.get(&(campaign, site));
        if !known.status.is_active() || member.is_none_or(|member| is_planned(member.planned)) {
            return planned;
        }
        let (from, to) = (known.details.from, known.details.to);
        let mut slots = 0;
        for date in from.series(1.day()).take_while(|date| *date <= to) {
            if slots >= SLOTS_PLANNED_MAX {
                planned.goes_on = true;
                return planned;
            }
            if let Some((key, day)) = self.plan_day(campaign, site, date, at) {
                slots += day.slots.len();
                planned.days.push((key, day));
            }
        }
        if let Some(member) = self.members.get_mut(&(campaign, site)) {
            member.planned = Some(revisions);
        }
        planned
    }

    /// Plans one day, if it is one of the campaign and not over; the day, if its slots changed.
    pub(super) fn plan_day(
        &mut self,
        campaign: CampaignId,
        site: SiteId,
        date: Date,
        at: Timestamp,
    ) -> Option<(DayKey, SlotDayRecord)> {
        let key = DayKey { campaign, site, date };
        let details = &self.campaigns.get(&campaign)?.details;
        let of_site = &self.sites.get(&site)?.site;
        let member = self.members.get(&(campaign, site))?;
        let is_over = date < of_site.zone().to_datetime(at).date();
        if is_over || !(details.from..=details.to).contains(&date) {
            return None;
        }
        let planned = if member.is_removed {
            Vec::new()
        } else {
            plan(of_site, details, member.capacity.unwrap_or(details.capacity), date)
        };
        let known = self.days.get(&key);
        let slots = known.map_or(&[][..], |day| &day.slots);
        let slots = renumber(slots, &planned, &mut self.last.slot)?;
        let id = known.map_or_else(
            || {
                self.last.day += 1;
                self.last.day
            },
            |day| day.id,
        );
        let day = SlotDayRecord { id, time_zone: of_site.details().time_zone.clone(), slots };
        self.days.insert(key, day.clone());
        Some((key, day))
    }
}
