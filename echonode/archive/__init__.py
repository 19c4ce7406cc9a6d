"""What survives a power cut: schema, index, blobs, workitems, audit, migrations."""
