"""The pages of Data > Enrichment in every kind of state, as ``tests.browser.pages`` lists them."""

from tests.browser import acts, enrichment_acts
from tests.browser.look import Look

ENRICHMENT = "/data/enrichment/"
WIZARD = f"{ENRICHMENT}new/sftp_custom_import/"
REVIEW = f"{WIZARD}?at=location&go=review&connection={{source_uuid}}&option_path=scores&option_filename=crm_scores.csv"

# before there is anything
EMPTY = {
    "enrichment-discover-nothing": Look("contributor", ENRICHMENT),
    "enrichments-empty": Look("contributor", f"{ENRICHMENT}mine/"),
    "enrichments-waiting-nothing": Look("contributor", f"{ENRICHMENT}waiting/"),
    "enrichment-connect-nothing": Look("contributor", f"{WIZARD}?at=overview&go=connect"),
}

FILLED = {
    "enrichment-discover": Look("contributor", ENRICHMENT),
    "enrichment-discover-viewer": Look("viewer", ENRICHMENT),
    "enrichment-add-menu": Look("contributor", ENRICHMENT, enrichment_acts.add_menu, over=True),
    "enrichment-overview": Look("contributor", WIZARD),
    "enrichment-connect": Look("admin", f"{WIZARD}?at=overview&go=connect"),
    "enrichment-data-set": Look("contributor", WIZARD + "?at=connect&go=data_set&connection={source_uuid}"),
    "enrichment-location-errors": Look("contributor", WIZARD, enrichment_acts.location_errors),
    "enrichment-review": Look("contributor", REVIEW),
    "enrichment-review-errors": Look("contributor", REVIEW, enrichment_acts.save_errors),
    "enrichment-edit": Look("contributor", ENRICHMENT + "{scored_uuid}/edit/"),
    "enrichment-edit-stale": Look("contributor", ENRICHMENT + "{scored_uuid}/edit/", enrichment_acts.stale),
    "enrichments": Look("contributor", f"{ENRICHMENT}mine/"),
    "enrichments-viewer": Look("viewer", f"{ENRICHMENT}mine/"),
    "enrichments-waiting": Look("contributor", f"{ENRICHMENT}mine/?state=waiting"),
    "enrichments-nothing-found": Look("contributor", f"{ENRICHMENT}mine/?q=zzz"),
    "enrichments-menu": Look("contributor", f"{ENRICHMENT}mine/", acts.row_menu, over=True),
    "enrichments-selection": Look("contributor", f"{ENRICHMENT}mine/", acts.tick_one),
    "enrichments-selection-several": Look("contributor", f"{ENRICHMENT}mine/", acts.tick_two),
    "enrichments-bulk-run": Look(
        "contributor", f"{ENRICHMENT}mine/", acts.bulk("Run", everything=True), over=True
    ),
    "enrichments-bulk-delete": Look("contributor", f"{ENRICHMENT}mine/", acts.bulk("Delete"), over=True),
    "enrichments-attach-waiting": Look("contributor", f"{ENRICHMENT}waiting/sftp_custom_import/"),
    "enrichment": Look("contributor", ENRICHMENT + "{scored_uuid}/"),
    "enrichment-preview": Look(
        "contributor", ENRICHMENT + "{scored_uuid}/?preview=1&days=30", enrichment_acts.show_as_table
    ),
    "enrichment-viewer": Look("viewer", ENRICHMENT + "{scored_uuid}/"),
    "enrichment-never-run": Look("contributor", ENRICHMENT + "{never_uuid}/"),
    "enrichment-failed": Look("contributor", ENRICHMENT + "{failed_enrichment_uuid}/"),
    "enrichment-waiting": Look("contributor", ENRICHMENT + "{waiting_uuid}/"),
    "enrichment-inactive": Look("contributor", ENRICHMENT + "{resting_uuid}/"),
    "enrichment-first-run": Look("contributor", ENRICHMENT + "{reading_uuid}/"),
    "enrichment-activate": Look("contributor", ENRICHMENT + "{waiting_uuid}/activate/"),
    "enrichment-activate-errors": Look(
        "contributor", ENRICHMENT + "{waiting_uuid}/activate/", acts.press("Activate")
    ),
    "enrichment-activate-dialog": Look(
        "contributor", ENRICHMENT + "{resting_uuid}/", acts.follow("Activate"), over=True
    ),
    "enrichment-deactivate": Look("contributor", ENRICHMENT + "{scored_uuid}/deactivate/"),
    "enrichment-delete": Look("contributor", ENRICHMENT + "{scored_uuid}/delete/"),
    "enrichment-run": Look("contributor", ENRICHMENT + "{scored_uuid}/runs/{scored_run_uuid}/"),
    "enrichment-run-reading": Look("contributor", ENRICHMENT + "{reading_uuid}/runs/{reading_run_uuid}/"),
    "enrichment-run-retrying": Look(
        "contributor", ENRICHMENT + "{retrying_enrichment_uuid}/runs/{retrying_enrichment_run_uuid}/"
    ),
    "enrichment-run-failed": Look(
        "viewer", ENRICHMENT + "{failed_enrichment_uuid}/runs/{failed_enrichment_run_uuid}/"
    ),
    "enrichment-run-failed-admin": Look(
        "admin", ENRICHMENT + "{failed_enrichment_uuid}/runs/{failed_enrichment_run_uuid}/"
    ),
}
