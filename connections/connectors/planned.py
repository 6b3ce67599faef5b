"""Services that connections are planned for, by name only; what is built stands in ``CONNECTORS``."""

from connections.connectors.base import N_

PLANNED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        N_("Marketing cloud"),
        ("Adobe Campaign Standard", "Adobe Experience Platform", "Salesforce Marketing Cloud"),
    ),
    (
        N_("Email marketing"),
        (
            "ActiveCampaign",
            "Autopilot (now Ortto)",
            "Braze",
            "Campaign Monitor",
            "Constant Contact",
            "DotDigital",
            "Iterable",
            "Klaviyo",
            "Marketo",
            "MoEngage",
            "Omnisend",
            "SendGrid",
            "Sendinblue",
        ),
    ),
    (
        N_("Advertising"),
        (
            "AdRoll",
            "Criteo",
            "Facebook Ads Manager",
            "Google Ads",
            "InMobi",
            "LinkedIn Ads",
            "Microsoft Advertising",
            "Snapchat",
        ),
    ),
    (N_("Storage"), ("Azure Blob Storage", "Azure Data Lake Storage Gen2")),
    (N_("Analytics"), ("Azure Synapse Analytics", "Power BI")),
    (N_("CRM"), ("Dynamics 365 Customer Insights - Journeys", "Dynamics 365 Sales")),
    (N_("Identity"), ("LiveRamp", "LiveRamp AbiliTec")),
    (N_("Web personalization"), ("Optimizely",)),
    (N_("Microsoft"), ("Power Apps",)),
    (N_("Automation"), ("Power Automate",)),
    (N_("Maps"), ("Azure Maps",)),
    (N_("Demographics"), ("Experian",)),
    (N_("Company data"), ("Dun & Bradstreet", "Leadspace")),
)
