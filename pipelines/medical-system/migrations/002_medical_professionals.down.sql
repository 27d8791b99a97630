DROP TABLE medical_professionals;
