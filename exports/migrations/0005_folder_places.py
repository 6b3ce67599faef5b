from typing import Any

from django.db import migrations, models


def as_now(apps: Any, schema_editor: Any) -> None:
    """What was noted before lies where its connection leads now, as far as anybody knows."""
    for folder in apps.get_model("exports", "TemporaryFolder").objects.select_related("connection"):
        settings = folder.connection.settings
        folder.place = {key: settings.get(key, "") for key in ("export_folder", "username")}
        folder.save(update_fields=["place"])


class Migration(migrations.Migration):
    dependencies = [
        ("connections", "0003_edit_drafts"),
        ("exports", "0004_found_index"),
    ]

    operations = [
        migrations.AddField(
            model_name="temporaryfolder",
            name="place",
            field=models.JSONField(default=dict),
        ),
        migrations.RunPython(as_now, migrations.RunPython.noop),
    ]
