"""Enrichments: what is read from where, which table it becomes, and what happened."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from connections.models import Connection
from connections_portal.models import ACTIVE_STATES, Attempt, Run, User


class Enrichment(models.Model):
    """Adds attributes to customers, in a table of its own. Deactivated it keeps everything and does not run.

    ``segment`` names the data set: empty for all customers. ``options`` are those of the type (path and filename),
    ``table_name`` is the output table's, unique whatever its capitals. ``needs_connection`` is copied from the type,
    so that the database can refuse an active enrichment without a connection. ``version`` grows with each change.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=200, unique=True, editable=False)
    type_key = models.CharField(max_length=60)
    connection = models.ForeignKey(
        Connection, null=True, blank=True, on_delete=models.PROTECT, related_name="enrichments"
    )
    needs_connection = models.BooleanField(default=True)
    active = models.BooleanField(default=True)
    segment = models.CharField(max_length=200, blank=True)
    options = models.JSONField(default=dict)
    table_name = models.CharField(max_length=60)
    table_key = models.CharField(max_length=60, unique=True, editable=False)
    responsible = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["name", "id"]
        verbose_name = _("enrichment")
        verbose_name_plural = _("enrichments")
        indexes = [
            models.Index(fields=["updated_at", "name_key"], name="enrichment_updated"),
            models.Index(fields=["type_key", "active"], name="enrichment_in_use"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(active=False) | Q(needs_connection=False) | Q(connection__isnull=False),
                name="active_enrichment_has_its_connection",
            )
        ]

    def __str__(self) -> str:
        return self.name


class EnrichmentRun(Run):
    """One execution of an enrichment.

    In its counts ``read`` are the rows of the file, ``sent`` those written into the output table (*customers
    enriched*), ``rejected`` those that cannot be used (no or a doubled customer ID), ``left_out`` those of customers
    that are unknown or not in the data set; ``reasons`` maps a reason's code to its number of rows. ``selected`` is
    the number of customers in the data set. ``coverage`` lists the output fields as ``[name, label, type, number of
    customers with a value]``. ``result_folder`` is relative to the table's folder below ``ENRICHMENTS_DIR``.
    """

    subject_name = "enrichment"

    enrichment = models.ForeignKey(Enrichment, on_delete=models.CASCADE, related_name="runs")
    connection_uuid = models.UUIDField(null=True)
    connection_type = models.CharField(max_length=60)
    connection_name = models.CharField(max_length=100, blank=True)
    connection_epoch = models.PositiveIntegerField(default=0)
    consent_uuid = models.UUIDField(null=True)
    segment = models.CharField(max_length=200, blank=True)
    options = models.JSONField(default=dict)
    table_name = models.CharField(max_length=60)
    result_folder = models.CharField(max_length=80, blank=True)
    coverage = models.JSONField(default=list)
    reasons = models.JSONField(default=dict)

    class Meta(Run.Meta):
        verbose_name = _("enrichment run")
        verbose_name_plural = _("enrichment runs")
        constraints = [
            *Run.Meta.constraints,
            models.UniqueConstraint(
                fields=["enrichment"],
                condition=Q(state__in=ACTIVE_STATES),
                name="one_active_run_per_enrichment",
            ),
        ]
        indexes = [
            *Run.Meta.indexes,
            models.Index(fields=["enrichment", "-queued_at", "-id", "state"], name="last_enrichment_run"),
            models.Index(fields=["enrichment", "-finished_at"], name="last_ended_enrichment_run"),
            # what went over a connection, whatever has become of its enrichments since
            models.Index(fields=["connection_uuid", "-finished_at"], name="enrichment_over_connection"),
        ]

    def __str__(self) -> str:
        return f"{self.enrichment} {self.queued_at:%Y-%m-%d %H:%M}"


class EnrichmentAttempt(Attempt):
    """One attempt of an enrichment's run."""

    run = models.ForeignKey(EnrichmentRun, on_delete=models.CASCADE, related_name="attempts")

    class Meta(Attempt.Meta):
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="enrichment_attempt_once_per_run")
        ]
