"""Our claims, re-checked on anyone's files: golden vectors, silicon logs, whole models."""
