"""The schema that the tables belong to."""

from sqlalchemy import MetaData

metadata = MetaData(schema="processor")
