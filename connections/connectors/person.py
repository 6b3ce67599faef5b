"""What nearly every service calls a person's fields, for ``Connector.targets``."""

from connections.connectors.base import N_
from connections.connectors.records import Target, TargetKind

EMAIL = Target(
    key="email",
    label=N_("Email"),
    kind=TargetKind.EMAIL,
    required=True,
    hints=("email_address", "e-mail", "mail"),
)
FIRST_NAME = Target(key="first_name", label=N_("First name"), hints=("firstname", "given_name"))
LAST_NAME = Target(key="last_name", label=N_("Last name"), hints=("lastname", "family_name", "surname"))
PHONE = Target(
    key="phone",
    label=N_("Phone"),
    kind=TargetKind.PHONE,
    hints=("phone_number", "telephone", "mobile"),
)
COMPANY = Target(key="company", label=N_("Company"), hints=("company_name", "organisation", "organization"))
