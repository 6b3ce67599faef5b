"""What an enrichment loses with the person who answers for it is told before they lose the right."""

import pytest

from connections_portal import answering, people
from connections_portal.answering import Stops
from connections_portal.models import RefreshKind, RefreshSchedule, User
from connections_portal.roles import Role
from enrichments.models import Enrichment
from tests.fixtures import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def told(person: User) -> list[str]:
    return [kind.sentence for kind in answering.running([person.pk])]


def test_an_active_enrichment_is_told(enrichment: Enrichment, contributor: User, admin: User) -> None:
    assert told(contributor) == ["1 enrichment can still be run by hand by others with the right."]
    RefreshSchedule.objects.update_or_create(
        number=1, defaults={"kind": RefreshKind.DAILY, "times": ["06:00"]}
    )
    stops = "1 enrichment will stop running by schedule until somebody else with the right takes over."
    assert told(contributor) == [stops]
    for act in (
        lambda: people.change_person(person=contributor, role=Role.VIEWER, seen="", actor=admin),
        lambda: people.remove_person(person=contributor, seen="", actor=admin),
    ):
        with pytest.raises(Stops) as refused:
            act()
        assert [kind.sentence for kind in refused.value.stopping] == [stops]
    people.change_person(person=contributor, role=Role.ADMINISTRATOR, seen="", actor=admin)
    assert told(contributor) == [stops], "an administrator may run it too"


def test_what_does_not_run_is_not_told(enrichment: Enrichment, contributor: User, admin: User) -> None:
    assert told(admin) == told(make_person("otto", Role.CONTRIBUTOR)) == []
    Enrichment.objects.filter(pk=enrichment.pk).update(active=False)
    assert told(contributor) == []
    Enrichment.objects.filter(pk=enrichment.pk).update(active=True)
    people.deactivate_person(person=contributor, actor=admin)
    assert told(contributor) == []
