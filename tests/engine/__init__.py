"""The real Pulumi engine against a stand-in cloud that is as strict as Google."""
