-- Which issues carry which label: what the search for the newest of them reads. `labels @>` under GIN finds all that have
-- a label in no order, and of a thousand the newest fifty cost a thousand.

-- name: issue_labels
-- Made by triggers from `issues.labels`, granted to nobody: the owner's functions write and read it.
CREATE TABLE issue_labels (
  account_id bigint NOT NULL,
  issue_id bigint NOT NULL,
  label text COLLATE "C" NOT NULL,
  CONSTRAINT issue_labels_pkey PRIMARY KEY (account_id, issue_id, label),
  CONSTRAINT issue_labels_issue_fk FOREIGN KEY (account_id, issue_id) REFERENCES issues (account_id, id) ON DELETE CASCADE
);
CREATE INDEX issue_labels_newest ON issue_labels (account_id, label, issue_id);
SELECT secure_tenant_table('issue_labels');

-- name: label_names
-- The names in a column of labels, each once. What is no text is no name: `@>` would not find it by one either.
CREATE FUNCTION label_names(labels jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = public, pg_temp
RETURN (
  SELECT coalesce(array_agg(DISTINCT element #>> '{}'), '{}')
  FROM jsonb_array_elements(CASE jsonb_typeof(labels) WHEN 'array' THEN labels ELSE '[]' END) AS element
  WHERE jsonb_typeof(element) = 'string'
);

-- name: label_new_issues
-- Trigger: an issue is found by its labels from its transaction on.
CREATE FUNCTION label_new_issues() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO issue_labels (account_id, issue_id, label)
  SELECT account_id, id, label FROM added CROSS JOIN LATERAL unnest(label_names(labels)) AS label
  WHERE labels <> '[]';
  RETURN NULL;
END $$;
CREATE TRIGGER label_new_issues AFTER INSERT ON issues
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION label_new_issues();

-- name: label_changed_issue
-- Trigger: only what went and came is written. For each row, because a trigger of a statement would be called for every
-- change of an issue, and few of them are of its labels.
CREATE FUNCTION label_changed_issue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  names text[] := label_names(NEW.labels);
BEGIN
  DELETE FROM issue_labels WHERE account_id = NEW.account_id AND issue_id = NEW.id AND label <> ALL (names);
  INSERT INTO issue_labels (account_id, issue_id, label)
  SELECT NEW.account_id, NEW.id, label FROM unnest(names) AS label
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER label_changed_issue AFTER UPDATE OF labels ON issues FOR EACH ROW
  WHEN (NEW.labels IS DISTINCT FROM OLD.labels) EXECUTE FUNCTION label_changed_issue();

-- name: label_issues
-- Writes anew what the issues of a range carry: for those from before the triggers, and to mend. They are locked against
-- change meanwhile: a label that is taken away at the same time would else be written behind its back.
CREATE FUNCTION label_issues(first_id bigint, last_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM issues WHERE id BETWEEN first_id AND last_id ORDER BY id FOR SHARE;
  DELETE FROM issue_labels l USING issues i
  WHERE i.id BETWEEN first_id AND last_id AND l.account_id = i.account_id AND l.issue_id = i.id
    AND l.label <> ALL (label_names(i.labels));
  INSERT INTO issue_labels (account_id, issue_id, label)
  SELECT i.account_id, i.id, label FROM issues i CROSS JOIN LATERAL unnest(label_names(i.labels)) AS label
  WHERE i.id BETWEEN first_id AND last_id
  ON CONFLICT DO NOTHING;
END $$;

-- name: label_grants
-- Nobody but the owner.
REVOKE EXECUTE ON FUNCTION label_names(jsonb), label_new_issues(), label_changed_issue(), label_issues(bigint, bigint)
  FROM PUBLIC;

-- reverse: issue_labels
-- What is kept is all in issues.labels.
DROP TRIGGER label_changed_issue ON issues;
DROP TRIGGER label_new_issues ON issues;
DROP FUNCTION label_issues(bigint, bigint), label_changed_issue(), label_new_issues();
DROP TABLE issue_labels;
DROP FUNCTION label_names(jsonb);
