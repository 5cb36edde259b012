-- Which prompt versions use which variable: what the search for the newest of them reads, as issue_labels is for issues.

-- name: prompt_version_variables
-- Made by a trigger from `prompt_versions.variables`, which nobody changes; granted to nobody: the owner's functions write
-- and read it.
CREATE TABLE prompt_version_variables (
  account_id bigint NOT NULL,
  version_id bigint NOT NULL,
  variable text COLLATE "C" NOT NULL,
  CONSTRAINT prompt_version_variables_pkey PRIMARY KEY (account_id, version_id, variable),
  CONSTRAINT prompt_version_variables_version_fk FOREIGN KEY (account_id, version_id)
    REFERENCES prompt_versions (account_id, id) ON DELETE CASCADE
);
CREATE INDEX prompt_version_variables_newest ON prompt_version_variables (account_id, variable, version_id);
SELECT secure_tenant_table('prompt_version_variables');

-- name: variable_names
-- The names in a column of variables. What is no text, or too long for an index, is left to `@>`.
CREATE FUNCTION variable_names(variables jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = public, pg_temp
RETURN (
  SELECT coalesce(array_agg(DISTINCT element #>> '{}'), '{}')
  FROM jsonb_array_elements(CASE jsonb_typeof(variables) WHEN 'array' THEN variables ELSE '[]' END) AS element
  WHERE jsonb_typeof(element) = 'string' AND octet_length(element::text) <= 1000
);

-- name: list_variables_of_new_versions
-- Trigger: a version is found by its variables from its transaction on.
CREATE FUNCTION list_variables_of_new_versions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO prompt_version_variables (account_id, version_id, variable)
  SELECT account_id, id, variable FROM added CROSS JOIN LATERAL unnest(variable_names(variables)) AS variable
  WHERE variables <> '[]';
  RETURN NULL;
END $$;
CREATE TRIGGER list_variables_of_new_versions AFTER INSERT ON prompt_versions
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION list_variables_of_new_versions();

-- name: version_variable_grants
-- Nobody but the owner.
REVOKE EXECUTE ON FUNCTION variable_names(jsonb), list_variables_of_new_versions() FROM PUBLIC;

-- reverse: version_variables
-- What is kept is all in prompt_versions.variables.
DROP TRIGGER list_variables_of_new_versions ON prompt_versions;
DROP FUNCTION list_variables_of_new_versions();
DROP TABLE prompt_version_variables;
DROP FUNCTION variable_names(jsonb);
