-- Who saw or changed what. Kept for AUDIT_LOG_RETENTION_DAYS.
CREATE TABLE audit_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    occurred_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    resource text NOT NULL,
    patient_id uuid REFERENCES patients,
    outcome text NOT NULL CHECK (outcome IN ('success', 'denied', 'error')),
    detail text
);

CREATE INDEX audit_logs_by_time ON audit_logs (occurred_at);
CREATE INDEX audit_logs_of_patient ON audit_logs (patient_id, occurred_at) WHERE patient_id IS NOT NULL;
