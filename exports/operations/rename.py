"""*Rename* an export."""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User
from exports.models import Export
from exports.operations.edit import changed_since, free_name_key, lock, name_taken, valid_name
from exports.permissions import require_edit


def rename_export(*, export: Export, version: int, name: str, actor: User) -> Export:
    """Give the export shown as ``version`` another name; its folder at the destination keeps its own (rule S23).

    ``actor`` becomes responsible, as with every save. Raises Stale (also when removed meanwhile), NotAllowed, and
    OperationError with the message at ``name``.
    """
    name = valid_name(name)
    try:
        with transaction.atomic():
            locked = lock(export)
            if locked.version != version:
                raise changed_since(locked, actor)
            require_edit(actor, locked)
            before = locked.name
            locked.name, locked.name_key = name, free_name_key(name, except_for=locked)
            locked.responsible = locked.updated_by = actor
            locked.version += 1
            locked.save()
            audit.record("export.renamed", actor=actor, target=locked, before=before, version=locked.version)
            return locked
    except IntegrityError:
        # two people took the same name at the same moment
        raise OperationError(_("The export is not saved yet."), fields={"name": name_taken()}) from None
