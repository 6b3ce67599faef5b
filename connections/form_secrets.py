"""What a form that sets up or edits a connection does with secrets: typed, chosen from a Key Vault, or kept."""

from collections.abc import Mapping

from django.utils import timezone
from django.utils.formats import time_format
from django.utils.translation import gettext as _

from connections.connectors.base import Connector, Field, is_active
from connections.connectors.errors import InvalidSettings
from connections.models import Connection, ConnectionDraft, ConnectionSecret, KeyVault
from connections.vault_choice import Chosen, Unfit, VaultChoice, words_of


class KeptSecrets:
    """The rows that a draft and the connection it edits hold, by field; the draft's come first."""

    def __init__(self, draft: ConnectionDraft | None, connection: Connection | None) -> None:
        self.draft, self.connection = draft, connection
        self._rows: dict[str, list[ConnectionSecret]] = {}
        for owner in (draft, connection):
            if owner is None or owner.pk is None:
                continue
            for row in owner.secrets.select_related("vault_secret__vault"):
                self._rows.setdefault(row.field, []).append(row)

    def of(self, key: str, target: str, *, in_vault: bool) -> ConnectionSecret | None:
        """The one of this kind that can go on being used for the target (rule S1), None while it is not known."""
        rows = self._rows.get(key, []) if target else []
        return next((r for r in rows if r.target_digest == target and _is_in_vault(r) == in_vault), None)

    def last(self, key: str, *, in_vault: bool | None = None) -> ConnectionSecret | None:
        """The one that was given last, whatever its target; of this kind where that is said."""
        rows = self._rows.get(key, [])
        return next((row for row in rows if in_vault in (None, _is_in_vault(row))), None)

    def in_draft(self, key: str) -> ConnectionSecret | None:
        """The draft's own."""
        return next((row for row in self._rows.get(key, []) if row.draft_id is not None), None)

    def note(self, row: ConnectionSecret) -> str:
        """What is said at a field of this row."""
        what = words_of(row.vault_secret) if row.vault_secret else ""
        if row.draft_id is not None and self.draft is not None:
            until = time_format(timezone.localtime(self.draft.expires_at), "H:i")
            if what:
                words = _(
                    "Kept for this set-up until %(time)s: %(secret)s. Choose another one to replace it."
                )
                return words % {"time": until, "secret": what}
            return _("Kept for this set-up until %(time)s. Type to replace it.") % {"time": until}
        if what:
            return _("Used now: %(secret)s. Leave the name empty to keep it.") % {"secret": what}
        return _("Stored, never shown. Leave it empty to keep it.")


def _is_in_vault(row: ConnectionSecret) -> bool:
    return row.vault_secret_id is not None


class FormSecrets:
    """The secrets of one form: ``choices`` by field where vaults are linked, and after ``clean`` what came of it.

    ``typed`` are values to keep with the draft, ``chosen`` secrets of vaults to look up and refer to; ``errors`` by the
    name of the form's field.
    """

    def __init__(
        self,
        connector: type[Connector],
        kept: KeptSecrets,
        *,
        data: Mapping[str, object] | None,
    ) -> None:
        self.connector, self.kept, self.data = connector, kept, data
        self.typed: dict[str, str] = {}
        self.chosen: dict[str, Chosen] = {}
        self.errors: dict[str, str] = {}
        vaults = KeyVault.sorted_by_name(KeyVault.objects.all())
        self.choices = {
            field.key: self._choice(field, vaults) for field in connector.fields if field.secret and vaults
        }

    def _choice(self, field: Field, vaults: list[KeyVault]) -> VaultChoice:
        last, chosen = self.kept.last(field.key), self.kept.last(field.key, in_vault=True)
        secret = chosen.vault_secret if chosen else None
        if self.data is None:
            is_on = last is not None and _is_in_vault(last)
        else:
            is_on = self.data.get(f"{field.key}-source") == "vault"
        return VaultChoice(field, vaults, kept=secret, is_on=is_on, data=self.data)

    def is_on(self, key: str) -> bool:
        """Whether this secret comes from a vault."""
        return key in self.choices and self.choices[key].is_on

    @property
    def switched(self) -> list[str]:
        """Fields whose row in the draft is of the kind that is not meant any more."""
        rows = {field.key: self.kept.in_draft(field.key) for field in self.connector.fields if field.secret}
        return [key for key, row in rows.items() if row and _is_in_vault(row) != self.is_on(key)]

    def clean(self, typed: Mapping[str, str], settings: Mapping[str, str], target: str) -> None:
        """Clean what was typed and chosen; ``settings`` decide which fields matter, ``target`` is the digest of the
        target that is typed now, empty while it is not known.
        """
        secrets = {key: "" if self.is_on(key) else value for key, value in typed.items()}
        for field in self.connector.fields:
            if not field.secret or not is_active(field, settings):
                continue
            if self.is_on(field.key):
                self._clean_chosen(field, secrets, target)
            elif secrets[field.key]:
                self._clean_typed(field, secrets, target)
            else:
                self._check_kept(field, secrets, target)
        for key in self.typed.keys() & self.errors.keys():
            del self.typed[key]

    def _clean_chosen(self, field: Field, typed: Mapping[str, str], target: str) -> None:
        choice, keeps = self.choices[field.key], self.kept.of(field.key, target, in_vault=True) is not None
        if not target and choice.kept is not None and not choice.posted("name"):
            return  # asked for once the target is right
        # it goes with what it is part of, unless it is said anew
        anew = self._is_replaced(field.part_of, typed)
        try:
            chosen = choice.clean(keeps=keeps, anew=anew)
        except Unfit as unfit:
            self.errors[f"{field.key}-{unfit.part}"] = unfit.message
            return
        if chosen is not None and target:
            self.chosen[field.key] = chosen

    def _clean_typed(self, field: Field, typed: Mapping[str, str], target: str) -> None:
        try:
            self.typed[field.key] = self.connector.clean_secret(field.key, typed[field.key], typed)
        except InvalidSettings as error:
            # what belongs to it and comes from a vault, or is kept there, is not known here
            found = {key: _(text) for key, text in error.errors.items() if not self.is_on(key)}
            self.errors |= found
            if field.key not in found:
                # wrong together with another one, and only that one is typed again
                self.typed[field.key] = typed[field.key]
        if field.key in self.typed and not target:
            del self.typed[field.key]
            self.errors[field.key] = _("Type it again once the target is right; it is kept for that only.")

    def _check_kept(self, field: Field, typed: Mapping[str, str], target: str) -> None:
        """Nothing is typed: right where a typed one is kept, or none is needed."""
        if self.kept.of(field.key, target, in_vault=False) or self._is_replaced(field.part_of, typed):
            return
        last = self.kept.last(field.key, in_vault=False)
        connection = self.kept.connection
        if connection is not None and target == connection.target_digest and self.kept.last(field.key):
            self.errors[field.key] = _("Type it, or leave Use Key Vault on.")
        elif field.required and (target or last is None):
            moved = _("The target has changed, so this has to be typed again.")
            self.errors[field.key] = moved if last is not None else _("Fill in this field.")

    def _is_replaced(self, key: str, typed: Mapping[str, str]) -> bool:
        return bool(key) and (bool(typed.get(key)) or key in self.chosen)
