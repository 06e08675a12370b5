"""What several pages share: state, resources, jobs, errors, safe text, looks, exports of tables and figures."""
