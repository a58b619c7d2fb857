-- Written by the console alone.

-- The contact that an entry is about, as the hash of its key that remains of an
-- erased person. Where it is among those of the erased, object and detail go.
ALTER TABLE audit ADD COLUMN subject text NOT NULL DEFAULT '';

CREATE INDEX audit_subject ON audit (tenant, subject) WHERE subject <> '' AND object <> '';

-- The erased are few: looking for them begins here. The table is the mapper's.
CREATE INDEX contact_ref_erased ON contact_ref (tenant, value) WHERE kind = 'erased';

-- What was written down before names contacts by whatever was typed.
UPDATE audit SET object = '', detail = '{}'
WHERE action IN ('SyncContact', 'ChooseCounterpart', 'AnswerReview', 'SetDisposition', 'EraseContact', 'RetryProblems', 'DismissProblems',
                 'sync', 'dispose', 'choose', 'answer', 'erase', 'retry', 'dismiss');
