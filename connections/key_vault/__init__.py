"""Speaks to Azure Key Vault through Microsoft's own libraries; knows no model and no Django, as connectors do."""
