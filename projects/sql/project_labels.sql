-- Which projects carry which label: what the search for the newest of them reads, as issue_labels is for issues.

-- name: project_labels
-- Made by triggers from `projects.labels`, granted to nobody: the owner's functions write and read it. A label is one
-- entry of that column, such as {"plan": "free"}. A project that is given to another account takes them with it.
CREATE TABLE project_labels (
  account_id bigint NOT NULL,
  project_id bigint NOT NULL,
  label jsonb NOT NULL,
  CONSTRAINT project_labels_pkey PRIMARY KEY (account_id, project_id, label),
  CONSTRAINT project_labels_project_fk FOREIGN KEY (account_id, project_id) REFERENCES projects (account_id, id)
    ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX project_labels_newest ON project_labels (account_id, label, project_id);
SELECT secure_tenant_table('project_labels');

-- name: single_labels
-- The entries of a column of labels, each by itself. What is no text, or too long for an index, is left to `@>`.
CREATE FUNCTION single_labels(labels jsonb) RETURNS jsonb[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = public, pg_temp
RETURN (
  SELECT coalesce(array_agg(jsonb_set('{}', ARRAY[key], value)), '{}')
  FROM jsonb_each(CASE jsonb_typeof(labels) WHEN 'object' THEN labels ELSE '{}' END)
  WHERE jsonb_typeof(value) = 'string' AND octet_length(key) + octet_length(value::text) <= 1000
);

-- name: label_new_projects
-- Trigger: a project is found by its labels from its transaction on.
CREATE FUNCTION label_new_projects() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO project_labels (account_id, project_id, label)
  SELECT account_id, id, label FROM added CROSS JOIN LATERAL unnest(single_labels(labels)) AS label
  WHERE labels <> '{}';
  RETURN NULL;
END $$;
CREATE TRIGGER label_new_projects AFTER INSERT ON projects
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION label_new_projects();

-- name: label_changed_project
-- Trigger: only what went and came is written.
CREATE FUNCTION label_changed_project() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  kept jsonb[] := single_labels(NEW.labels);
BEGIN
  DELETE FROM project_labels WHERE account_id = NEW.account_id AND project_id = NEW.id AND label <> ALL (kept);
  INSERT INTO project_labels (account_id, project_id, label)
  SELECT NEW.account_id, NEW.id, label FROM unnest(kept) AS label
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER label_changed_project AFTER UPDATE OF labels ON projects FOR EACH ROW
  WHEN (NEW.labels IS DISTINCT FROM OLD.labels) EXECUTE FUNCTION label_changed_project();

-- name: project_label_grants
-- Nobody but the owner.
REVOKE EXECUTE ON FUNCTION single_labels(jsonb), label_new_projects(), label_changed_project() FROM PUBLIC;

-- reverse: project_labels
-- What is kept is all in projects.labels.
DROP TRIGGER label_changed_project ON projects;
DROP TRIGGER label_new_projects ON projects;
DROP FUNCTION label_changed_project(), label_new_projects();
DROP TABLE project_labels;
DROP FUNCTION single_labels(jsonb);
