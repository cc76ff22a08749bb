"""From published data sets, as they are downloaded, to tables in the documented format."""
