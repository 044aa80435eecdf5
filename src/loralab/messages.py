"""What the package says to people, in Spanish and in English."""

LANGUAGES = ("es", "en")

_language = "en"


def set_language(language: str) -> None:
    """Choose the language of all that follows. Raises ValueError for one that is not in LANGUAGES."""
    global _language
    if language not in LANGUAGES:
        raise ValueError(message("unknown", what="language", given=language, choices=", ".join(LANGUAGES)))
    _language = language


def language() -> str:
    """The language in force."""
    return _language


def message(key: str, **values: object) -> str:
    """The message of that key in the language in force, with its values filled in."""
    return MESSAGES[key][LANGUAGES.index(_language)].format(**values)


def number(value: float, digits: int) -> str:
    """A number as the language writes it.

    Spanish: decimal comma, and from five digits on groups of three set apart by a narrow space. English: decimal point
    and commas. A true minus sign in both.
    """
    text = f"{value:,.{digits}f}".replace("-", "\u2212")
    if _language == "es":
        text = text.replace(",", "\u202f" if abs(value) >= 10_000 else "").replace(".", ",")
    return text


def percent(share: float, digits: int = 1) -> str:
    """A share (0 to 1) as a percentage; Spanish keeps a space before the sign, one that does not break."""
    return number(100 * share, digits) + ("\u00a0%" if _language == "es" else "%")


def scientific(value: float) -> str:
    """A small number in the fewest digits, such as 2.5e-05."""
    text = f"{value:g}"
    return text.replace(".", ",") if _language == "es" else text


def clock(seconds: float) -> str:
    """A duration in words: seconds below two minutes, else minutes."""
    return f"{number(seconds, 0)} s" if seconds < 120 else f"{number(seconds / 60, 1)} min"


# key: (Spanish, English)
MESSAGES = {
    # experiments and profiles
    "unknown": (
        "{what} no puede ser {given!r}. Elige entre: {choices}.",
        "{what} cannot be {given!r}. Choose one of: {choices}.",
    ),
    "not_an_integer": (
        "{name} tiene que ser un entero, {least} como mínimo, y es {given!r}.",
        "{name} has to be a whole number, {least} at least, and it is {given!r}.",
    ),
    "not_a_number": (
        "{name} tiene que ser un número desde {least} y menor que {below}, y es {given!r}.",
        "{name} has to be a number from {least} and below {below}, and it is {given!r}.",
    ),
    "damaged_result": (
        "el resultado {path} está dañado ({error})",
        "the result {path} is damaged ({error})",
    ),
    # assets
    "asset_not_fetched": (
        "pip no ha podido descargar {package}: {error}. Comprueba la conexión, el índice de paquetes y el espacio libre.",
        "pip could not download {package}: {error}. Check the connection, the package index and the free space.",
    ),
    "asset_wrong_hash": (
        "{package} no es el fichero esperado: SHA-256 {found}, y debería ser {expected}. No se ha guardado nada. "
        "Si tu índice de paquetes es un espejo, prueba con el oficial.",
        "{package} is not the expected file: SHA-256 {found}, and it should be {expected}. Nothing was kept. "
        "If your package index is a mirror, try the official one.",
    ),
    "asset_incomplete": (
        "A {package} le falta un fichero ({error}). No se ha guardado nada; avisa a quien mantiene el curso.",
        "{package} lacks a file ({error}). Nothing was kept; tell the course's maintainers.",
    ),
    "cache_not_written": (
        "No se puede escribir en la caché {cache}: {error}. Libera espacio o elige otra carpeta con LORALAB_CACHE.",
        "The cache {cache} cannot be written: {error}. Free some space, or choose another folder with LORALAB_CACHE.",
    ),
    "asset_ready": ("{name}: en la caché · {licence}", "{name}: in the cache · {licence}"),
    "hub_not_reached": (
        "No se ha podido descargar {name} del Hub de Hugging Face: {error}. Comprueba la conexión, o usa el perfil cpu.",
        "{name} could not be downloaded from the Hugging Face Hub: {error}. Check the connection, or use the cpu profile.",
    ),
    # data
    "row_not_text": (
        "La fila {row} no contiene texto, sino {given}. Corrígela o quítala.",
        "Row {row} holds {given}, not text. Fix it or remove it.",
    ),
    "row_empty": (
        "El texto de la fila {row} está vacío. Corrígelo o quita la fila.",
        "The text of row {row} is empty. Fix it or remove the row.",
    ),
    "row_bad_label": (
        "La etiqueta de la fila {row} es {given!r}, y hay {classes} clases numeradas desde 0.",
        "The label of row {row} is {given!r}, and there are {classes} classes, numbered from 0.",
    ),
    "split_size": (
        "La partición {split} pide {given} ejemplos. Puede tener desde {least} hasta los {available} que quedan.",
        "The {split} split asks for {given} examples. It can have from {least} to the {available} that are left.",
    ),
    "split_empty": (
        "La partición no tiene ninguna fila: no hay nada que codificar.",
        "The split has no rows: there is nothing to encode.",
    ),
    # tokens
    "max_length_too_large": (
        "max_length es {given}, y el modelo admite {limit} tokens como máximo.",
        "max_length is {given}, and the model takes {limit} tokens at most.",
    ),
    "row_too_long": (
        "La fila {row} tiene {given} tokens, y el modelo admite {limit}. Pon max_length={limit} para recortarla.",
        "Row {row} has {given} tokens, and the model takes {limit}. Set max_length={limit} to cut it.",
    ),
    # models
    "module_unknown": (
        "No hay ningún módulo lineal llamado {given!r}. Los que hay: {choices}.",
        "There is no linear module called {given!r}. There are: {choices}.",
    ),
    "architecture_unknown": (
        "No hay módulos por defecto para la arquitectura {given!r}. Elige tú entre: {choices}.",
        "There are no default modules for the architecture {given!r}. Choose from: {choices}.",
    ),
    "nothing_saved": (
        "En {folder} no hay ni adaptador ni cabeza guardados. Ejecuta antes el experimento con run().",
        "There is no saved adapter or head in {folder}. Run the experiment first, with run().",
    ),
    # running
    "progress": (
        "{name}: paso {step} de {steps}; tiempo restante: {left}",
        "{name}: step {step} of {steps}; time left: {left}",
    ),
    "loaded": (
        "{name}: ya estaba hecho, se carga · exactitud {accuracy} en {examples} ejemplos de test{seed}",
        "{name}: done before, loaded · accuracy {accuracy} on {examples} test examples{seed}",
    ),
    "trained": (
        "{name}: hecho en {seconds} s · exactitud {accuracy} en {examples} ejemplos de test{seed}",
        "{name}: done in {seconds} s · accuracy {accuracy} on {examples} test examples{seed}",
    ),
    "with_seed": (", semilla {seed}", ", seed {seed}"),
    "resuming": ("{name}: se reanuda desde {checkpoint}", "{name}: resuming from {checkpoint}"),
    "stale_because": ("han cambiado: {what}", "changed since: {what}"),
    "moved_aside": (
        "{name}: {reason}; se aparta en {aside} y se repite",
        "{name}: {reason}; moved to {aside} and run again",
    ),
    "start": (
        "Python {python} · torch {torch} · {device}, {memory} GiB · perfil {profile}",
        "Python {python} · torch {torch} · {device}, {memory} GiB · profile {profile}",
    ),
    # names
    "method_majority": ("clase mayoritaria", "majority class"),
    "method_tfidf": ("TF-IDF + reg. logística", "TF-IDF + logistic reg."),
    "method_frozen": ("congelado + reg. logística", "frozen + logistic reg."),
    "method_head": ("solo la cabeza", "head only"),
    "method_full": (
        "fine-tuning completo",
        "full fine-tuning",
    ),
    "method_lora": ("LoRA", "LoRA"),
    # tables
    "accuracy": ("exactitud en test", "test accuracy"),
    "loss": ("pérdida en test", "test loss"),
    "trainable": ("parámetros entrenables", "trainable parameters"),
    "trainable_adapter": ("… de ellos, del adaptador", "… of them in the adapter"),
    "trainable_share": ("% de los parámetros", "% of all parameters"),
    "seconds": ("segundos de entrenamiento", "training seconds"),
    "minutes": ("minutos de entrenamiento", "training minutes"),
    "peak_memory": ("memoria máxima (MiB)", "peak memory (MiB)"),
    "speedup": ("aceleración frente al completo (veces)", "speed-up over full (times)"),
    "memory_saved": (
        "memoria ahorrada frente al completo",
        "memory saved against full",
    ),
    "test_examples": ("ejemplos de test", "test examples"),
    "seeds": ("semillas", "seeds"),
    "result": ("resultado", "result"),
    "profile": ("perfil", "profile"),
    "seed": ("semilla", "seed"),
    "learning_rate": ("tasa de aprendizaje", "learning rate"),
    "data": ("datos", "data"),
    "code": ("código", "code"),
    "weights": ("pesos", "weights"),
    "device": ("dispositivo", "device"),
    "date": ("fecha", "date"),
    # sentences
    "accuracy_better": (
        "Exactitud: {a} queda {difference} ± {half} puntos porcentuales por encima de {b}, medidos en estos {examples} ejemplos (semilla {seed}).",
        "Accuracy: {a} is {difference} ± {half} percentage points above {b}, measured on these {examples} examples (seed {seed}).",
    ),
    "accuracy_worse": (
        "Exactitud: {a} queda {difference} ± {half} puntos porcentuales por debajo de {b}, medidos en estos {examples} ejemplos (semilla {seed}).",
        "Accuracy: {a} is {difference} ± {half} percentage points below {b}, measured on these {examples} examples (seed {seed}).",
    ),
    "accuracy_cannot_tell": (
        "Exactitud: {a} menos {b}, {signed} ± {half} puntos porcentuales. Con estos {examples} ejemplos no se puede decir cuál acierta más (semilla {seed}).",
        "Accuracy: {a} minus {b}, {signed} ± {half} percentage points. With these {examples} examples one cannot tell which is better (seed {seed}).",
    ),
    "ranks_cannot_tell": (
        "Ningún rango se distingue de r={first} (alpha={alpha}, fija)",
        "No rank can be told apart from r={first} (alpha={alpha}, fixed)",
    ),
    "ranks_differ": (
        "Frente a r={first}, en puntos: {apart} (alpha={alpha}, fija)",
        "Against r={first}, in points: {apart} (alpha={alpha}, fixed)",
    ),
    "parameters_sentence": (
        "LoRA entrena {trainable} parámetros, el {share} del total: {adapter} del adaptador y {head} de la cabeza.",
        "LoRA trains {trainable} parameters, {share} of all: {adapter} in the adapter and {head} in the head.",
    ),
    "speed_faster": (
        "El fine-tuning completo ha tardado {ratio} veces lo que LoRA (cada uno medido una sola vez, en momentos distintos).",
        "Full fine-tuning took {ratio} times as long as LoRA (each timed once, at different moments).",
    ),
    "speed_slower": (
        "LoRA ha tardado {ratio} veces lo que el fine-tuning completo (cada uno medido una sola vez, en momentos distintos).",
        "LoRA took {ratio} times as long as full fine-tuning (each timed once, at different moments).",
    ),
    "speed_unclear": (
        "Un tiempo es {ratio} veces el otro: con una sola medida de cada uno no se puede decir qué método es más rápido.",
        "One time is {ratio} times the other: a single timing of each cannot tell which method is faster.",
    ),
    "memory_less": (
        "LoRA ha necesitado un {saved} menos de memoria máxima ({method}).",
        "LoRA needed {saved} less peak memory ({method}).",
    ),
    "memory_more": (
        "LoRA ha necesitado un {saved} más de memoria máxima ({method}).",
        "LoRA needed {saved} more peak memory ({method}).",
    ),
    "measured_profiler": (
        "máximo del paso con más tokens, con torch.profiler, más los pesos, los gradientes y los estados del optimizador que se conservan entre pasos",
        "peak of the step with the most tokens, by torch.profiler, plus the weights, gradients and optimizer states kept between steps",
    ),
    "measured_cuda": (
        "medida con torch.cuda.max_memory_allocated",
        "measured with torch.cuda.max_memory_allocated",
    ),
    "smoke_mark": ("perfil smoke, no es un resultado", "smoke profile, not a finding"),
    "smoke_banner": (
        "Perfil smoke: datos diminutos para probar que todo funciona. Estos números no dicen nada de los métodos.",
        "Smoke profile: tiny data to test that everything runs. These numbers say nothing about the methods.",
    ),
    "interval_note": (
        "± es la semianchura del intervalo del 95 %. Solo recoge el azar de qué ejemplos han caído en el test, no lo que cambiaría con otra semilla.",
        "± is half the width of the 95% interval. It covers only the luck of which examples landed in the test, not what another seed would change.",
    ),
    # figures
    "accuracy_axis": ("exactitud (%)", "accuracy (%)"),
    "test_accuracy_axis": ("exactitud en test (%), n = {n}", "test accuracy (%), n = {n}"),
    "exams_axis": ("número de exámenes", "number of exams"),
    "exam_title": (
        "Un mismo modelo, {n} exámenes: el 95 % de las notas, entre {low} y {high}",
        "One model, {n} exams: 95% of the scores between {low} and {high}",
    ),
    "exam_alt": (
        "Histograma: un modelo que acierta de verdad el {truth} saca, en el 95 % central de {n} exámenes de {examples} preguntas, notas entre {low} y {high}.",
        "Histogram: a model that is truly right {truth} of the time scores between {low} and {high} in the middle 95% of {n} exams of {examples} questions.",
    ),
    "pad_fixed": ("hasta {length}", "to {length}"),
    "pad_longest": ("hasta la más larga", "to the longest"),
    "pad_batch": ("por lote", "by batch"),
    "pad_similar": (
        "por lote, de longitud parecida",
        "by batch, similar lengths",
    ),
    "padding_axis": ("tokens que son relleno (%)", "tokens that are padding (%)"),
    "padding_title": (
        "«{worst}» procesa {factor} veces los tokens de «{best}»",
        "“{worst}” processes {factor} times the tokens of “{best}”",
    ),
    "rank_axis": ("rango r", "rank r"),
    "rank_axis_log": ("rango r (escala logarítmica)", "rank r (log scale)"),
    "parameters_axis": ("parámetros de una capa", "parameters of one layer"),
    "counted": ("contados en peft", "counted in peft"),
    "rank_title": (
        "Por encima de r = {crossing}, LoRA tiene más parámetros que la capa de {d_in}×{d_out}",
        "Above r = {crossing}, LoRA has more parameters than the {d_in}×{d_out} layer",
    ),
    "step_axis": ("paso", "step"),
    "loss_axis": ("pérdida (nats)", "loss (nats)"),
    "training_loss": (
        "entrenamiento, media móvil",
        "training, moving average",
    ),
    "training_step": ("entrenamiento, cada paso", "training, each step"),
    "true_accuracy": ("exactitud verdadera", "true accuracy"),
    "middle": ("95 % central", "middle 95%"),
    "validation_loss": ("validación", "validation"),
    "loss_title": (
        "{name}: la mejor validación es la de la época {best} de {epochs} ({loss})",
        "{name}: validation is best after epoch {best} of {epochs} ({loss})",
    ),
    "trainable_axis": ("parámetros entrenables (millones)", "trainable parameters (millions)"),
    "seconds_axis": ("entrenamiento (s)", "training (s)"),
    "memory_axis": ("memoria máxima (MiB)", "peak memory (MiB)"),
    # report
    "report_title": ("LoRA Lab: resultados del perfil {profile}", "LoRA Lab: results of the {profile} profile"),
    "report_comparison": (
        "Fine-tuning completo frente a LoRA",
        "Full fine-tuning versus LoRA",
    ),
    "report_ranks": ("¿Qué rango?", "Which rank?"),
    "report_training": ("El entrenamiento", "The training"),
    "report_provenance": ("De dónde sale cada número", "Where each number comes from"),
    "report_written": ("informe: results/{path}", "report: results/{path}"),
}
